"""A model card: what a shipped file is, what was certified of it, on what, and what was not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from usncli.certifying.verdicts import Verdict
from usncli.errors import InputError
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.kinds.certify import rates_table
from usncli.reporting.kinds.export import file_table, latency_table, parity_table
from usncli.reporting.kinds.view import Record
from usncli.reporting.markdown import escape_command
from usncli.reporting.table import Table, escape_markdown, table

_ABOUT = {
    "task": "task",
    "source_sha256": "SHA-256 of the source network",
    "label_names": "outputs",
    "preprocessing": "preprocessing",
    "version": "written by usncli",
}
"""Metadata that a card states, and in which words."""


def model_card(export: Record, certified: FinishedRun | None) -> str:
    """Return a model card as Markdown.

    Args:
        export: the record of an export.
        certified: a run of ``usn certify`` on the exported network; None where none is named.

    Raises:
        InputError: the run is of another kind, or on another network.
    """
    if certified is not None:
        _require_same_network(export, certified)
    parts = [
        f"# Model card: {escape_markdown(Path(export['path']).name)}",
        *_about(export),
        "## What was certified",
        *(_nothing() if certified is None else _certified(certified)),
        "## What was not certified",
        "\n".join(f"- {line}" for line in _not_certified(export, certified)),
        "## What was measured",
        *(item.to_markdown().strip() for item in (parity_table(export), *_latency(export))),
    ]
    return "\n\n".join(parts) + "\n"


def _require_same_network(export: Record, run: FinishedRun) -> None:
    if run.kind != "certify":
        raise InputError(f"certified: expected the folder of a run of usn certify, got one of usn {run.kind}")
    # Weights rounded to float16 are another network than the source.
    rounded = export.get("float16_change") is not None
    source, found = export["sha256"] if rounded else export["metadata"].get("source_sha256"), run.model_sha256
    if found is None or found not in (source, export["sha256"]):
        raise InputError(
            f"certified: expected a run on the network that is exported (SHA-256 {source}), got one on {found}; "
            f"certify {'the ONNX file' if rounded else 'this checkpoint'} and name that run"
        )


def _about(export: Record) -> Iterator[str]:
    metadata = export["metadata"]
    yield file_table(export).to_markdown().strip()
    rows = [(words, metadata[key]) for key, words in _ABOUT.items() if key in metadata]
    yield table("Network", ["", ""], rows).to_markdown().strip()


def _nothing() -> Iterator[str]:
    yield "Nothing that is known here: no run of `usn certify` was named when this file was exported."


def _certified(run: FinishedRun) -> Iterator[str]:
    record, manifest = run.record, run.manifest or {}
    settings = record["settings"]
    yield f"{escape_markdown(record['claim'][:1].upper() + record['claim'][1:])}."
    yield rates_table(record).to_markdown().strip()
    images = len({query["index"] for query in record["queries"]})
    data = manifest.get("inputs", {}).get("data", {})
    stated = {name: entry["value"] for name, entry in manifest.get("settings", {}).items()}
    rows = [
        ("images", f"{images:,}, from {data.get('location', 'unknown data')}"),
        ("SHA-256 of the data", data.get("sha256") or "unknown: the data are code"),
        ("reference", settings["reference"]),
        ("tau, pixels (keypoints, heatmaps)", f"{settings['tau']:g}"),
        ("arithmetic", settings["arithmetic"]),
        *((name, json.dumps(stated[name])) for name in ("pivot", "clip") if name in stated),
    ]
    yield table("On what", ["", ""], rows).to_markdown().strip()
    if manifest:
        yield f"    {escape_command(manifest['command_line'])}"


def _not_certified(export: Record, run: FinishedRun | None) -> Iterator[str]:
    if run is not None:
        record = run.record
        rest = [
            f"{record['counts'][verdict.value]:,} {verdict.value}"
            for verdict in Verdict
            if verdict != Verdict.CERTIFIED and record["counts"][verdict.value]
        ]
        if rest:
            yield f"Of the {record['total']:,} queries: {', '.join(rest)}."
        yield "Any other image. A certified rate says how many of these images are certified; others may be wrong."
        yield "Any change of an image beyond these ranges, or of another kind: noise, blur, motion, patches."
        if record["settings"]["reference"] == "prediction":
            yield "That predictions are right: what is certified is that they do not change."
        if record["settings"]["arithmetic"] == "real":
            yield (
                "The execution in floating point. The claim is about exact arithmetic; how far onnxruntime was from "
                "PyTorch on some images is measured below, not proved."
            )
    if run is None and export.get("float16_change") is not None:
        yield "This network, whatever is known of its source: its weights are rounded to float16."
    if not export["preprocessing_included"]:
        yield "What normalises images before they reach this file: it is not in the graph."
    yield "Whatever reads, resizes and crops images before they reach this file."


def _latency(export: Record) -> Iterator[Table]:
    if export.get("latency"):
        yield latency_table(export["latency"])
