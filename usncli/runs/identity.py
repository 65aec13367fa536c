"""What makes two runs the same run, and what a manifest says beyond that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class RunIdentity:
    """What determines a run's result: the same identity, the same run.

    Attributes:
        command: name of the command.
        settings: JSON values of the settings that matter to the result, by key.
        inputs: SHA-256 of each input, by what it is: model, data, ...
        version: of usncli.
    """

    command: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    version: str

    @property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of everything above."""
        text = json.dumps(self.to_json(), sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "command": self.command,
            "settings": dict(self.settings),
            "inputs": dict(self.inputs),
            "version": self.version,
        }

    def differences(self, stored: Mapping[str, Any]) -> list[str]:
        """Say in words how this identity differs from a stored one (`to_json`)."""
        own = self.to_json()
        words = [
            f"{name} was {_show(stored.get(name))}, is {_show(own[name])}"
            for name in ("command", "version")
            if stored.get(name) != own[name]
        ]
        for part in ("settings", "inputs"):
            before, now = stored.get(part, {}), own[part]
            for key in sorted(before.keys() | now.keys()):
                if before.get(key) != now.get(key):
                    words.append(f"{key} was {_show(before.get(key))}, is {_show(now.get(key))}")
        return words


@dataclass(frozen=True)
class RunDescription:
    """Everything that a manifest says of a run before it starts.

    Attributes:
        identity: what makes it this run.
        command_line: as typed.
        settings: every setting with its value and origin, by key.
        inputs: location and SHA-256 (None where it has none) of model, data, configuration.
        versions: of Python and of packages.
        seed, device, dtype: of the computation.
    """

    identity: RunIdentity
    command_line: tuple[str, ...]
    settings: Mapping[str, Mapping[str, Any]]
    inputs: Mapping[str, Mapping[str, str | None]]
    versions: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    device: str = "cpu"
    dtype: str = "float32"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "command": self.identity.command,
            "command_line": list(self.command_line),
            "fingerprint": self.identity.fingerprint,
            "identity": self.identity.to_json(),
            "settings": {key: dict(value) for key, value in self.settings.items()},
            "inputs": {name: dict(value) for name, value in self.inputs.items()},
            "seed": self.seed,
            "versions": dict(self.versions),
            "device": self.device,
            "dtype": self.dtype,
        }


def _show(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return f"{text[:12]}..." if len(text) == 64 else text  # a hash
