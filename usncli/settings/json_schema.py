"""The JSON schema of usn.yaml, for editors: made from the settings models, and shipped as a file beside this module.

It takes whatever the parser takes, numbers and switches written as text included, and refuses unknown keys. The parser
stays the judge: a few texts that it refuses, such as a number in quotes that is out of range, pass the schema.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from usncli.settings import parsing
from usncli.settings.commands import COMMANDS
from usncli.settings.option import SettingsGroup, named_options

SCHEMA_FILE = Path(__file__).with_name("usn.schema.json")
"""The schema as the package ships it; a test keeps it equal to `json_schema`."""

TITLE = "usn.yaml"

Schema: TypeAlias = dict[str, Any]

_NUMBER = r"^\s*[+-]?(\d[\d_]*\.?[\d_]*|\.\d+)([eE][+-]?\d+)?\s*$"
_SIZE = r"^\s*0*[1-9]\d*(\s*[x×]\s*0*[1-9]\d*)?\s*$"  # noqa: RUF001
_SWITCH_WORDS = ("true", "false", "yes", "no", "on", "off", "t", "f", "y", "n")


def json_schema() -> Schema:
    """Return the schema: shared options at the top level, those of one command in its section."""
    sections = {command: _section_properties(model) for command, model in COMMANDS.items()}
    shared = {
        key: _any_of(section[key] for section in sections.values() if key in section)
        for key in dict.fromkeys(key for section in sections.values() for key in section)
    }
    described = {command: _section(command, properties, shared) for command, properties in sections.items()}
    return {
        "title": TITLE,
        "description": "Settings of usn: options of every command, and a section for each command's own.",
        **_mapping({**shared, **described}, shared, "#/properties"),
    }


def schema_text() -> str:
    """Return the schema as the shipped file has it."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


class _YamlSchema(GenerateJsonSchema):
    """Pydantic's schemas, widened by what the readers of `parsing` and pydantic itself read from text."""

    def float_schema(self, schema: core_schema.FloatSchema) -> Schema:
        return _or_text(super().float_schema(schema), _NUMBER)

    def int_schema(self, schema: core_schema.IntSchema) -> Schema:
        return _or_text(super().int_schema(schema), _NUMBER)

    def bool_schema(self, schema: core_schema.BoolSchema) -> Schema:
        words = "|".join("".join(f"[{letter.upper()}{letter}]" for letter in word) for word in _SWITCH_WORDS)
        return {"type": ["boolean", "integer", "string"], "minimum": 0, "maximum": 1, "pattern": f"^({words}|[01])$"}

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> Schema:
        reader: Any = schema["function"]["function"]
        if reader is parsing.parse_size:
            return {"type": ["integer", "string"], "minimum": 1, "pattern": _SIZE}
        read = self.generate_inner(schema["schema"])
        if getattr(reader, "__module__", "") != parsing.__name__:
            return read
        return {"anyOf": [read, *_TEXT_FORMS.get(reader, _ANY_TEXT)]}


def _or_text(schema: Schema, pattern: str) -> Schema:
    return {**schema, "type": [schema["type"], "string"], "pattern": pattern}


def _texts(pattern: str) -> list[Schema]:
    """One text of this form, or a list of them."""
    text = {"type": "string", "pattern": pattern}
    return [text, {"type": "array", "items": text}]


_ANY_TEXT: list[Schema] = [
    {"type": ["string", "number"]},
    {"type": "array", "items": {"type": ["string", "number"]}},
]
_TEXT_FORMS: Mapping[Callable[[Any], Any], list[Schema]] = {
    parsing.parse_list: [{"type": "string"}],
    parsing.parse_numbers: [{"type": ["number", "string"]}],
    parsing.parse_ranges: _texts(r"^[^,]*=[^,]*(,[^,]*=[^,]*)*$"),
    parsing.parse_pairs: _texts(r"^\s*[^=\s][^=]*="),
    parsing.parse_ramps: _texts(r"^[^=]*=[^,]*,[^,]*$"),
    parsing.parse_formats: _texts(r"^[^=]+=.*\S"),
}
"""What each reader takes beside the value itself; a reader that is not named here takes any text, or several."""


def _section_properties(model: type[SettingsGroup]) -> dict[str, Schema]:
    """Return the schema of each option of a command, by its key."""
    made = model.model_json_schema(schema_generator=_YamlSchema)["properties"]
    properties: dict[str, Schema] = {}
    for name, named in named_options(model).items():
        schema = {key: value for key, value in made[name].items() if key not in ("title", "default")}
        default = {"default": made[name]["default"]} if made[name].get("default") not in (None, [], {}, "") else {}
        properties[named.key] = {"description": named.option.help, **schema, **default}
    return properties


def _any_of(schemas: Iterable[Schema]) -> Schema:
    """Return what any of the commands takes: at the top level each command reads the value for itself."""
    distinct = list({json.dumps(schema, sort_keys=True): schema for schema in schemas}.values())
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


def _section(command: str, properties: Mapping[str, Schema], shared: Mapping[str, Schema]) -> Schema:
    """Return the schema of a command's section, which says by reference what the top level says already."""
    own = {
        key: {"$ref": f"#/properties/{key}"} if schema == shared[key] else schema for key, schema in properties.items()
    }
    return {"description": f"Options of usn {command}.", **_mapping(own, own, f"#/properties/{command}/properties")}


def _mapping(properties: Mapping[str, Schema], options: Iterable[str], place: str) -> Schema:
    """Return the schema of a mapping, perhaps empty, whose keys may be written with underscores too."""
    spelled = {f"^(?!{key}$){key.replace('-', '[-_]')}$": {"$ref": f"{place}/{key}"} for key in options if "-" in key}
    return {
        "type": ["object", "null"],
        "properties": dict(properties),
        "patternProperties": spelled,
        "additionalProperties": False,
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(schema_text(), encoding="utf-8")
