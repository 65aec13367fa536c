"""Formats of a result, by name; a new one adds one line to the table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from usncli.errors import ConfigurationError, InputError, suggestion
from usncli.files import write_text_atomically
from usncli.reporting.document import render
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.github import to_github
from usncli.reporting.junit import to_junit
from usncli.reporting.markdown import to_markdown
from usncli.reporting.page import page_of
from usncli.reporting.sarif import to_sarif


def to_json(run: FinishedRun) -> str:
    """Return the record with its kind and schema version, and what the gate said; NaN and infinities are refused."""
    judged = {"gate": run.gate.to_record()} if run.gate else {}
    return json.dumps(dict(run.record) | judged, indent=2, allow_nan=False) + "\n"


def to_html(run: FinishedRun) -> str:
    """Return the self-contained page."""
    return render(page_of([run]))


FORMATS: Mapping[str, Callable[[FinishedRun], str]] = {
    "json": to_json,
    "junit": to_junit,
    "sarif": to_sarif,
    "github": to_github,
    "markdown": to_markdown,
    "html": to_html,
}
"""A function from a finished run to a file's text, by the name that ``--format`` takes."""

GATE_FORMATS = frozenset({"junit", "sarif", "github"})
"""Formats for CI systems, which say what became of each query of a certification."""


def format_text(name: str, run: FinishedRun) -> str:
    """Return a result in one format.

    Raises:
        ConfigurationError: no such format, or one that does not suit this kind of result.
    """
    if name not in FORMATS:
        raise ConfigurationError(f"--format: unknown format {name!r}{suggestion(name, FORMATS)}")
    if name in GATE_FORMATS and run.kind != "certify":
        raise ConfigurationError(f"--format {name}: expected the result of usn certify, got one of usn {run.kind}")
    return FORMATS[name](run)


def write_format(name: str, path: Path, run: FinishedRun) -> None:
    """Write a result in one format, atomically.

    Raises:
        ConfigurationError: no such format, or one that does not suit this kind of result.
        InputError: the file cannot be written.
    """
    text = format_text(name, run)
    try:
        write_text_atomically(path, text)
    except OSError as error:
        raise InputError(f"--format {name}: cannot write {path}: {error.strerror}; name another file") from error
