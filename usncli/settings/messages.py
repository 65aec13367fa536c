"""One line for one wrong setting: its key, what was expected, what came, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from usncli.errors import suggestion
from usncli.settings.option import NamedOption, bare_type
from usncli.settings.origin import Given

KINDS: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    Path: "a path",
}


def explain(error: ValidationError, options: Mapping[str, NamedOption], given: Mapping[str, Given]) -> str:
    """Put the first thing that is wrong into one line; values that came and are wrong go before values that lack."""
    details = sorted(error.errors(include_url=False), key=is_missing)[0]
    named = options[str(details["loc"][0])]
    if is_missing(details):
        return missing(named)
    came = given[named.name]
    expected = _expected(details, named)
    return f"{named.key}: {expected}, got {came.value!r} ({came.origin}){_nearest(details, named, came.value)}"


def is_missing(details: ErrorDetails) -> bool:
    """Say whether an option lacks altogether; a value may lack a part, as one of two numbers."""
    return details["type"] == "missing" and len(details["loc"]) == 1


def missing(named: NamedOption) -> str:
    """Say that a setting lacks and the three places where it may be given."""
    return (
        f"{named.key}: expected {lower_first(named.option.help).rstrip('.')}, got nothing; give {named.flag}, set "
        f"{named.variable}, or write '{named.key}:' in usn.yaml"
    )


def expectation(field: FieldInfo) -> str:
    """Say in words which values a field takes, ``a number >= 0 and < 1``."""
    kind = bare_type(field)
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    words = KINDS.get(kind, "another value")
    limits = [text for item in field.metadata if (text := _limit(item))]
    return " ".join([words, " and ".join(limits)]).strip()


def lower_first(text: str) -> str:
    """Return ``text`` with its first letter in lower case."""
    return text[:1].lower() + text[1:]


def _limit(item: Any) -> str:
    for kind, symbol, name in ((Ge, ">=", "ge"), (Gt, ">", "gt"), (Le, "<=", "le"), (Lt, "<", "lt")):
        if isinstance(item, kind):
            return f"{symbol} {getattr(item, name)}"
    return ""


def _expected(details: ErrorDetails, named: NamedOption) -> str:
    if details["type"] == "value_error" and (words := str(details["ctx"]["error"])):
        return words
    if details["type"] == "literal_error" and get_origin(bare_type(named.field)) is dict:
        return f"expected one of {_choices(details)}"
    return f"expected {named.option.expected or expectation(named.field)}"


def _choices(details: ErrorDetails) -> str:
    return str(details["ctx"]["expected"]).replace("'", "").replace(" or ", ", ")


def _nearest(details: ErrorDetails, named: NamedOption, value: Any) -> str:
    """Suggest the nearest choice, where the value has choices and is near one."""
    kind = bare_type(named.field)
    if details["type"] != "literal_error" or get_origin(kind) is not Literal:
        return ""
    words = suggestion(str(value), get_args(kind))
    return words if "did you mean" in words else ""
