"""manifest.json: what a run was asked, on what, when, and how it stands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from usncli.errors import InputError
from usncli.files import write_json_atomically

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION = 1
"""Version of manifests; it grows when a field changes its meaning or goes."""


class RunStatus(StrEnum):
    """How a run stands; ``running`` without a living process means that it was killed."""

    RUNNING = "running"
    INTERRUPTED = "interrupted"
    COMPLETE = "complete"
    FAILED = "failed"


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return a run folder's manifest, None where it has none.

    Raises:
        InputError: it is not a manifest that this version reads.
    """
    path = folder / MANIFEST_NAME
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a readable manifest of a run; choose another --out") from error
    if not isinstance(manifest, dict) or manifest.get("schema_version") != SCHEMA_VERSION:
        raise InputError(f"{path}: expected a manifest of schema version {SCHEMA_VERSION}; choose another --out")
    return manifest


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write a run folder's manifest, atomically."""
    write_json_atomically(folder / MANIFEST_NAME, dict(manifest))


def session(start: datetime, status: RunStatus, end: datetime | None = None) -> dict[str, Any]:
    """Return the entry of one process's work on a run; ``end`` is None while it works."""
    return {
        "start": start.isoformat(timespec="milliseconds"),
        "end": end.isoformat(timespec="milliseconds") if end else None,
        "seconds": round((end - start).total_seconds(), 3) if end else None,
        "status": str(status),
    }


def totals(sessions: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a run's start, end and seconds of work over all its sessions; one that was killed counts 0 seconds."""
    return {
        "start": sessions[0]["start"],
        "end": sessions[-1]["end"],
        "seconds": round(sum(entry["seconds"] or 0.0 for entry in sessions), 3),
    }


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)
