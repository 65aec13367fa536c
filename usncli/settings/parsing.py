"""Types of settings that need reading: sizes, lists of numbers, paths, ``key=value`` pairs.

Each reader takes what a flag or an environment variable gives (text) as well as what YAML gives (numbers, lists,
mappings), and raises ``ValueError`` with the words of what was expected.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

CALLABLE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
"""``package.module:callable``, as the loading stage reads it."""

EVERY = "every"
"""The key of a limit for every perturbation that has none of its own."""

RANGE_EXPECTED = "expected NAME=AMOUNT or NAME=LOWER:UPPER, for example brightness=0.1"

FormatName = Literal["json", "markdown", "html"]
GateFormatName = Literal["json", "junit", "sarif", "github", "markdown", "html"]

STDOUT = Path("-")
"""In place of a file: the format's text is printed. Only workflow commands may stand among what else is printed."""


class ImageSize(NamedTuple):
    """Size of a network's input in pixels."""

    width: int
    height: int


def parse_size(value: Any) -> Any:
    """Read ``64`` or ``64x48`` (width before height)."""
    if isinstance(value, ImageSize):
        return value
    match = re.fullmatch(r"(\d+)(?:\s*[x×]\s*(\d+))?", str(value).strip())  # noqa: RUF001
    if not match or not int(match[1]) or match[2] == "0":
        raise ValueError("expected WIDTHxHEIGHT or one number of pixels, at least 1")
    return ImageSize(int(match[1]), int(match[2] or match[1]))


def parse_numbers(value: Any) -> Any:
    """Read ``0.5`` or ``0.485,0.456,0.406`` or a list of numbers."""
    return tuple(_spread(value))


def parse_list(value: Any) -> Any:
    """Let one value stand for a list of one."""
    return (value,) if isinstance(value, str) else value


def parse_ranges(value: Any) -> Any:
    """Let one range stand for a list of one; each is looked at only as far as a slip of typing shows."""
    ranges = _each(value, RANGE_EXPECTED)
    if not all(isinstance(item, str) and all("=" in part for part in item.split(",")) for item in ranges):
        raise ValueError(RANGE_EXPECTED)
    return ranges


def parse_pairs(value: Any) -> Any:
    """Read ``key=value`` texts into a mapping; each value is read as YAML reads it, so ``0.5`` becomes a number."""
    if isinstance(value, dict):
        return value
    pairs: dict[str, Any] = {}
    for item in _each(value, "expected KEY=VALUE"):
        key, equals, text = str(item).partition("=")
        if not equals or not key.strip():
            raise ValueError("expected KEY=VALUE")
        if key.strip() in pairs:
            raise ValueError(f"expected each key once, {key.strip()} came twice")
        pairs[key.strip()] = _scalar(text)
    return pairs


def parse_ramps(value: Any) -> Any:
    """Read ``name=0.1,0.5`` texts, or a mapping of pairs, into a mapping from name to two numbers."""
    if isinstance(value, dict):
        return value
    pairs: dict[str, str] = {}
    for item in _each(value, "expected LOSS=START,END, for example smooth=0,0.3"):
        name, equals, numbers = str(item).partition("=")
        if not equals or numbers.count(",") != 1:
            raise ValueError("expected LOSS=START,END, for example smooth=0,0.3")
        if name.strip() in pairs:
            raise ValueError(f"expected each loss once, {name.strip()} came twice")
        pairs[name.strip()] = numbers
    return pairs


def parse_shares(value: Any) -> Any:
    """Read ``0.9``, for every perturbation, and ``brightness=0.9`` or ``brightness=0.1=0.9``, for some, into a mapping.

    A number follows the last ``=``; what stands before it is the name of a perturbation or the label of a range.
    """
    if isinstance(value, dict):
        return value
    items = value if isinstance(value, list | tuple) else [value]
    shares: dict[str, Any] = {}
    for item in items:
        name, _, share = str(item).rpartition("=")
        name = name.strip() or EVERY
        if name in shares:
            raise ValueError(f"expected each limit once, {name} came twice")
        shares[name] = share.strip()
    return shares


def parse_formats(value: Any) -> Any:
    """Read ``json=report.json`` texts, or a mapping, into a mapping from format to file; ``github=-`` is stdout."""
    files = value if isinstance(value, dict) else _format_pairs(value)
    printed = [name for name, path in files.items() if str(path) == str(STDOUT) and name != "github"]
    if printed:
        raise ValueError(f"expected a file for {printed[0]}, since only github can be printed (-)")
    return files


def _format_pairs(value: Any) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for item in _each(value, "expected FORMAT=FILE, for example json=report.json"):
        name, equals, path = str(item).partition("=")
        if not equals or not path.strip():
            raise ValueError("expected FORMAT=FILE, for example json=report.json")
        if name.strip() in pairs:
            raise ValueError(f"expected each format once, {name.strip()} came twice")
        pairs[name.strip()] = path.strip()
    return pairs


def rebase(path: Path, info: ValidationInfo) -> Path:
    """Take a relative path that stands in usn.yaml from that file's folder; `STDOUT` is none.

    The folder of each field that came from a file is in the validation context, under the field's name.
    """
    folder = (info.context or {}).get(info.field_name)
    return folder / path if folder is not None and path != STDOUT else path


def rebase_location(location: str, info: ValidationInfo) -> str:
    """Do as `rebase`, but leave ``package.module:callable`` alone."""
    return location if CALLABLE.fullmatch(location) else str(rebase(Path(location), info))


def _each(value: Any, expected: str) -> list[Any] | tuple[Any, ...]:
    """Return one text, or each of several; raise ``ValueError`` with what was expected for anything else."""
    items = parse_list(value)
    if not isinstance(items, list | tuple):
        raise ValueError(expected)
    return items


def _spread(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [piece.strip() for piece in value.split(",")]
    return list(value) if isinstance(value, list | tuple) else [value]


def _scalar(text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    try:
        return float(value) if isinstance(value, str) else value  # YAML 1.1 reads 1e-3 as text
    except ValueError:
        return value


Size = Annotated[ImageSize, BeforeValidator(parse_size)]
Numbers = Annotated[tuple[float, ...], BeforeValidator(parse_numbers)]
NumberPair = Annotated[tuple[float, float], BeforeValidator(parse_numbers)]
Texts = Annotated[tuple[str, ...], BeforeValidator(parse_list)]
Ranges = Annotated[tuple[str, ...], BeforeValidator(parse_ranges)]
Pairs = Annotated[dict[str, Any], BeforeValidator(parse_pairs)]
Ramps = Annotated[dict[str, NumberPair], BeforeValidator(parse_ramps)]
Shares = Annotated[dict[str, Annotated[float, Field(ge=0, le=1)]], BeforeValidator(parse_shares)]
File = Annotated[Path, AfterValidator(rebase)]
Files = Annotated[tuple[File, ...], BeforeValidator(parse_list)]
Location = Annotated[str, AfterValidator(rebase_location)]
Formats = Annotated[dict[FormatName, File], BeforeValidator(parse_formats)]
GateFormats = Annotated[dict[GateFormatName, File], BeforeValidator(parse_formats)]
