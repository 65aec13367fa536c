"""Settings that remember where each value came from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from usncli.settings.option import SettingsGroup

SettingsType = TypeVar("SettingsType", bound=SettingsGroup)


class Source(StrEnum):
    """The four sources, the strongest first."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


class Origin(NamedTuple):
    """Where a value came from.

    Attributes:
        source: which of the four sources.
        detail: the flag, the variable, or the file with line and section.
    """

    source: Source
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.source} {self.detail}".rstrip()


class Given(NamedTuple):
    """A value as a source gave it, not yet checked.

    Attributes:
        value: text from a flag or a variable; any YAML value from a file.
        origin: where it came from.
        folder: the folder that relative paths in it start from, where that is not the working directory.
    """

    value: Any
    origin: Origin
    folder: Path | None = None


@dataclass(frozen=True)
class Resolved(Generic[SettingsType]):
    """A command's settings, checked, with the origin of each.

    Attributes:
        settings: the values.
        origins: by field name.
        config: the usn.yaml that was read, if any.
    """

    settings: SettingsType
    origins: dict[str, Origin]
    config: Path | None
