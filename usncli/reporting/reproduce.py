"""How to make a run again: its command line, inputs, settings and versions."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from usncli.reporting.document import Section
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.table import Cell, Table, table


def reproduce_section(runs: Sequence[FinishedRun]) -> Section | None:
    """Return the last section of a page; None where no run has a manifest."""
    known = [(run.name, run.manifest) for run in runs if run.manifest]
    if not known:
        return None
    inputs: list[tuple[Cell, ...]] = []
    versions: dict[str, dict[str, str]] = {}
    for name, manifest in known:
        for what, entry in manifest.get("inputs", {}).items():
            inputs.append((name, what, entry.get("location"), entry.get("sha256")))
        for package, version in manifest.get("versions", {}).items():
            versions.setdefault(package, {})[name] = version
    commands = dict.fromkeys(shlex.join(manifest["command_line"]) for _, manifest in known)
    shown = [_work_table(known), table("Inputs", ["run", "input", "location", "sha256"], inputs), _versions(versions)]
    settings = [_settings_table(name, manifest) for name, manifest in known if manifest.get("settings")]
    text = "The same commands on the same inputs find these runs again, or make them anew."
    return Section("How to reproduce", (text,), tuple(shown), commands=tuple(commands), folded=tuple(settings))


def _work_table(known: Sequence[tuple[str, Mapping[str, Any]]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, manifest in known:
        values = (manifest.get(key) for key in ("device", "dtype", "seed", "start", "seconds"))
        rows.append((name, *(None if value is None else str(value) for value in values)))
    return table("Runs", ["run", "device", "dtype", "seed", "started", "seconds"], rows)


def _versions(versions: dict[str, dict[str, str]]) -> Table:
    rows = [(package, ", ".join(dict.fromkeys(found.values()))) for package, found in versions.items()]
    return table("Versions", ["package", "version"], rows)


def _settings_table(name: str, manifest: Mapping[str, Any]) -> Table:
    entries = manifest["settings"].items()
    rows = [(key, json.dumps(entry.get("value")), str(entry.get("origin"))) for key, entry in entries]
    return table(f"Settings of {name}", ["setting", "value", "from"], rows)
