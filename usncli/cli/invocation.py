"""What a command is handed when it runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic

from usncli.cli.console import Consoles
from usncli.settings import Resolved
from usncli.settings.origin import SettingsType


@dataclass(frozen=True)
class Shell:
    """Where ``usn`` was called.

    Attributes:
        command_line: the words after ``usn``.
        environment: the environment's variables.
        directory: the working directory.
    """

    command_line: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    directory: Path = field(default_factory=Path.cwd)


@dataclass(frozen=True)
class Invocation(Generic[SettingsType]):
    """One call of a command.

    Attributes:
        resolved: its settings with their origins.
        shell: where it was called.
        consoles: where it prints.
    """

    resolved: Resolved[SettingsType]
    shell: Shell
    consoles: Consoles

    @property
    def settings(self) -> SettingsType:
        """The settings."""
        return self.resolved.settings
