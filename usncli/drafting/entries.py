"""What a draft of usn.yaml is made of: settings with the reason for each, in sections."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from usncli.settings import Resolved, Source, named_options
from usncli.settings.parsing import ImageSize


class State(StrEnum):
    """How sure a setting is.

    ``KNOWN``: found out, or given; it holds. ``STATED``: the checkpoint states it, so that no key is needed.
    ``OFFERED``: worth knowing; it does nothing until its line is uncommented. ``MISSING``: has to be filled in.
    """

    KNOWN = "known"
    STATED = "stated"
    OFFERED = "offered"
    MISSING = "missing"


class Entry(NamedTuple):
    """One setting.

    Attributes:
        key: its key in usn.yaml.
        value: YAML values: what holds, or an example where the setting is offered or missing.
        why: where the value comes from, or what it is for; one sentence without a full stop.
        state: how sure it is.
    """

    key: str
    value: Any
    why: str
    state: State = State.KNOWN


class Section(NamedTuple):
    """Settings that belong together.

    Attributes:
        title: what they are about.
        remarks: what else was found, a line each.
        entries: the settings.
        command: the command whose section of usn.yaml they stand in; none for the top level.
    """

    title: str
    remarks: tuple[str, ...]
    entries: tuple[Entry, ...]
    command: str = ""


@dataclass(frozen=True)
class Draft:
    """A usn.yaml before it is written.

    Attributes:
        sections: in the order of the file.
        warnings: what stands in the way of a later command, a line each.
    """

    sections: tuple[Section, ...]
    warnings: tuple[str, ...] = ()

    @property
    def findings(self) -> tuple[Entry, ...]:
        """What was found out, and what is missing."""
        entries = (entry for section in self.sections for entry in section.entries)
        return tuple(entry for entry in entries if entry.state != State.OFFERED)

    @property
    def missing(self) -> tuple[Entry, ...]:
        """What has to be filled in."""
        return tuple(entry for entry in self.findings if entry.state == State.MISSING)

    @property
    def unchecked(self) -> tuple[Entry, ...]:
        """Offers that may have to hold, which only the user knows."""
        entries = (entry for section in self.sections for entry in section.entries)
        return tuple(entry for entry in entries if entry.state == State.OFFERED and entry.why.startswith("CHECK"))


def given_entries(resolved: Resolved[Any], *names: str) -> tuple[Entry, ...]:
    """Return those of some settings that a flag, a variable or a usn.yaml above gives.

    Args:
        resolved: a command's settings.
        names: field names.
    """
    options = named_options(type(resolved.settings))
    return tuple(
        Entry(options[name].key, yaml_value(getattr(resolved.settings, name)), f"as given: {resolved.origins[name]}")
        for name in names
        if resolved.origins[name].source != Source.DEFAULT
    )


def yaml_value(value: Any) -> Any:
    """Return a setting's value as a person would write it in YAML."""
    if isinstance(value, ImageSize):
        return value.width if value.width == value.height else f"{value.width}x{value.height}"
    if isinstance(value, tuple):
        return yaml_value(value[0]) if len(value) == 1 else [yaml_value(item) for item in value]
    if isinstance(value, bool | int | float | dict):
        return value
    return str(value)
