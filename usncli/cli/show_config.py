"""``--show-config``: each setting with where it came from."""

from __future__ import annotations

from typing import Any

from usncli.cli.console import Consoles
from usncli.settings import (
    CommandSettings,
    Given,
    NamedOption,
    Origin,
    Source,
    Sources,
    collect,
    named_options,
    refuse_wrong_values,
)


def show_config(settings_type: type[CommandSettings], sources: Sources, consoles: Consoles) -> None:
    """Print each setting of a command, its value and its origin; a required one that lacks is shown as missing.

    Raises:
        ConfigurationError: a key or variable is unknown, or a value is wrong.
    """
    given, config = collect(settings_type, sources)
    refuse_wrong_values(settings_type, given)
    rows = [_row(named, given.get(named.name)) for named in named_options(settings_type).values()]
    key_width, value_width = (max(len(row[column]) for row in rows) for column in (0, 1))
    consoles.line(f"# usn {settings_type.command}, configuration file: {config or 'none'}")
    for key, value, origin in rows:
        consoles.line(f"{key:<{key_width}}  {value:<{value_width}}  {origin}")


def value_text(value: Any) -> str:
    """Return a value as a person would write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return " ".join(f"{key}={item}" for key, item in value.items()) or "-"
    if isinstance(value, list | tuple):
        return " ".join(str(item) for item in value) or "-"
    return "-" if value is None else str(value)


def _row(named: NamedOption, given: Given | None) -> tuple[str, str, str]:
    if given is not None:
        return named.key, value_text(given.value), str(given.origin)
    origin = "missing" if named.field.is_required() else str(Origin(Source.DEFAULT))
    return named.key, value_text(named.default), origin
