"""A finished run as it lies in its folder: its record, its manifest, its pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usncli.errors import InputError
from usncli.gating.gate import GATE_FILE, Gate
from usncli.reporting.pictures import PICTURES_NAME, Picture, read_pictures

RECORD_NAME = "record.json"
MANIFEST_NAME = "manifest.json"


@dataclass(frozen=True)
class FinishedRun:
    """What a report knows of a run.

    Attributes:
        name: how people tell it from others: the folder's name.
        record: the result, JSON values with ``kind``.
        manifest: command line, settings, inputs, versions; None where there is only a record.
        gate: what the gate said of it; None where it had no limits.
        pictures: images with what the network sees in them, where the run kept some.
        folder: where it lies; None where there is only a record.
    """

    name: str
    record: Mapping[str, Any]
    manifest: Mapping[str, Any] | None = None
    pictures: tuple[Picture, ...] = ()
    folder: Path | None = None
    gate: Gate | None = None

    @property
    def kind(self) -> str:
        """Which command made the record."""
        return str(self.record["kind"])

    @property
    def model_sha256(self) -> str | None:
        """SHA-256 of the network's file that the run worked on; None where the manifest does not know it."""
        model = (self.manifest or {}).get("inputs", {}).get("model", {})
        return str(model["sha256"]) if model.get("sha256") else None

    @classmethod
    def read(cls, folder: Path) -> FinishedRun:
        """Read a run folder.

        Raises:
            InputError: it holds no finished run, or its files are damaged.
        """
        record = _read_json(folder / RECORD_NAME)
        if record is None:
            raise InputError(f"{folder}: expected the folder of a finished run, found no {RECORD_NAME} in it")
        if "kind" not in record:
            raise InputError(f"{folder / RECORD_NAME}: expected a record that says its kind, found none; run it again")
        pictures = folder / PICTURES_NAME
        return cls(
            folder.resolve().name,
            record,
            _read_json(folder / MANIFEST_NAME),
            read_pictures(pictures) if pictures.is_file() else (),
            folder,
            _read_gate(folder / GATE_FILE),
        )


def _read_gate(path: Path) -> Gate | None:
    record = _read_json(path)
    try:
        return None if record is None else Gate.from_record(record)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: expected a gate's record that usn wrote, got {error!r}; certify again") from error


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected JSON that usn wrote, got a damaged file ({error}); run it again") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a JSON object that usn wrote, got {type(value).__name__}; run it again")
    return value
