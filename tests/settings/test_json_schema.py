"""The schema that editors check usn.yaml with: it takes what the parser takes, and refuses unknown keys."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from usncli.errors import ConfigurationError
from usncli.settings import COMMANDS, Sources, collect, named_options, refuse_wrong_values
from usncli.settings.json_schema import SCHEMA_FILE, json_schema, schema_text

ROOT = Path(__file__).parents[2]
SCHEMA = json_schema()
VALIDATORS = [jsonschema.Draft7Validator(SCHEMA), jsonschema.Draft202012Validator(SCHEMA)]
OPTIONS = [(command, named) for command, model in COMMANDS.items() for named in named_options(model).values()]
REQUIRED = {"checkpoint": "model.pt", "data": "images", "perturb": ["brightness=0.1"], "runs": ["run"]}


def schema_takes(content: Any) -> bool:
    answers = {validator.is_valid(content) for validator in VALIDATORS}
    assert len(answers) == 1, "both dialects say the same"
    return answers.pop()


def parser_takes(text: str, folder: Path) -> bool:
    path = folder / "usn.yaml"
    path.write_text(text)
    for model in COMMANDS.values():
        try:
            given_values, _ = collect(model, Sources({}, {}, folder, path))
            refuse_wrong_values(model, given_values)
        except ConfigurationError:
            return False
    return True


def test_the_shipped_file_is_current() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), "type: poe schema"
    for validator in VALIDATORS:
        validator.check_schema(SCHEMA)


def test_no_host_is_named() -> None:
    assert "://" not in schema_text()


def test_every_option_is_described_at_the_top_level_and_in_its_section() -> None:
    for command, named in OPTIONS:
        section = SCHEMA["properties"][command]["properties"][named.key]
        shared = SCHEMA["properties"][named.key]
        assert section == {"$ref": f"#/properties/{named.key}"} or section["description"] == named.option.help
        alternatives = [shared] if "description" in shared else shared["anyOf"]
        assert named.option.help in [item["description"] for item in alternatives]


ACCEPTED = [
    "",
    "score:\n",
    "seed: 3\nscore: {ratio: 0.3, exclude: [stem, head.*]}\n",
    "size: 64\n",
    "size: 64x48\n",
    "mean: 0.5\nstd: [0.2, 0.2, 0.2]\n",
    "mean: 0.4,0.5,0.6\n",
    "perturb: brightness=0.1\n",
    "perturb: [brightness=0.1, 'contrast=0.1,gamma=0.1']\n",
    "arch-arg: {outputs: 64, wide: true}\n",
    "arch-arg: [outputs=64, wide=true]\n",
    "arch_arg: outputs=64\n",
    "finetune-prune: {ramp: [0.1, 0.5], loss-ramp: {smooth: [0, 0.3]}}\n",
    "loss_ramp: ['smooth=0,0.3']\n",
    "finetune-prune: {ramp: '0.1, 0.5', learning-rate: 1e-3}\n",
    "certify: {format: {junit: a.xml, json: a.json}, max-range: yes, tau: 2}\n",
    "certify: {format: junit=a.xml}\nscore: {format: [json=a.json, html=a.html]}\n",
    "trust-pickle: 'no'\nclip: 0\n",
    "batch-size: 2\nscore: {batch-size: 1}\n",
    "report: {runs: [a, b], page: all.html}\n",
    "annotations: null\nlimit: ~\n",
]

REFUSED = [
    "certfy: {}\n",
    "min-certifed: 0.9\n",
    "score: {tau: 1}\n",
    "score: {min-certified: 0.9}\n",
    "certify: [1]\n",
    "3\n",
    "size: 0\n",
    "size: [64, 48]\n",
    "ratio: 1.5\n",
    "ratio: true\n",
    "task: heatmap\n",
    "perturb: 3\n",
    "perturb: brightness\n",
    "certify: {format: {jnit: a.xml}}\n",
    "score: {format: {junit: a.xml}}\n",
    "arch-arg: outputs\n",
    "trusted-sha256: abc\n",
    "clip: perhaps\n",
    "seed: 1.5\n",
    "finetune-prune: {ramp: [0.1]}\n",
    "finetune-prune: {batch-size: 1}\n",
    "arch-arg:\n",
    "format: 3\n",
]


@pytest.mark.parametrize("text", ACCEPTED)
def test_what_both_take(text: str, tmp_path: Path) -> None:
    assert parser_takes(text, tmp_path)
    assert schema_takes(yaml.safe_load(text))


@pytest.mark.parametrize("text", REFUSED)
def test_what_both_refuse(text: str, tmp_path: Path) -> None:
    assert not parser_takes(text, tmp_path)
    assert not schema_takes(yaml.safe_load(text))


TEXTS = st.sampled_from(
    [
        *("64", "64x48", "0.5", "1e-3", " 7 ", "0.1,0.5", "yes", "OFF", "a=b", "smooth=0,0.3", "json=a", "k = 1"),
        *("brightness=0.1", "usn", "cpu", "pixel", "sobol", "a" * 64, "", "=", "inf", "-1", "1_0", "0.1, 0.2", "lirpa"),
    ]
) | st.text(string.printable, max_size=6)
NUMBERS = st.integers(-3, 300) | st.floats(-2, 300) | st.sampled_from([0, 1, 0.5, 16, 1e6])
SCALARS = TEXTS | NUMBERS
VALUES = (
    st.none() | st.booleans() | SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(TEXTS, SCALARS, max_size=2)
)


@settings(deadline=None, derandomize=True, database=None, max_examples=300)
@given(st.sampled_from(OPTIONS), VALUES)
def test_the_schema_takes_every_value_that_the_parser_takes(option: tuple[str, Any], value: Any) -> None:
    command, named = option
    try:
        COMMANDS[command].model_validate({**REQUIRED_OF[command], named.name: value})
    except ValidationError:
        return
    assert schema_takes({command: {named.key: value}}), (command, named.key, value)
    assert schema_takes({named.key: value})


REQUIRED_OF = {
    command: {name: value for name, value in REQUIRED.items() if name in model.model_fields}
    for command, model in COMMANDS.items()
}


@pytest.mark.parametrize("path", [*(ROOT / "examples").rglob("usn.yaml")], ids=lambda path: path.parent.name)
def test_the_examples_settings_fit_the_schema(path: Path) -> None:
    assert schema_takes(yaml.safe_load(path.read_text(encoding="utf-8")))


def test_the_file_is_json_that_editors_can_read() -> None:
    assert json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))["additionalProperties"] is False
