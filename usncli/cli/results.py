"""Showing a finished run: tables on stdout, other formats to files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from usncli.cli.invocation import Invocation
from usncli.settings.parsing import STDOUT

if TYPE_CHECKING:
    from usncli.reporting.finished_run import FinishedRun

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
"""Variable by which GitHub Actions names the file of a step's summary."""


def show_results(folder: Path, invocation: Invocation[Any]) -> FinishedRun:
    """Print the tables of a finished run, write it in each format that was asked for, and return it.

    Args:
        folder: of the run.
        invocation: of a command whose settings are `FormatSettings` or `GateFormatSettings`.

    Raises:
        InputError: the folder's files are damaged, or a file cannot be written.
    """
    from usncli.reporting.finished_run import FinishedRun
    from usncli.reporting.formats import format_text, write_format
    from usncli.reporting.github import append_summary
    from usncli.reporting.tables import tables

    run = FinishedRun.read(folder)
    consoles, formats = invocation.consoles, invocation.settings.format
    for table in tables(run.record):
        consoles.show(table)
    for name, path in formats.items():
        if path == STDOUT:
            consoles.line(format_text(name, run).rstrip("\n"))
        else:
            write_format(name, path, run)
            consoles.say(f"{name}: {path}")
    summary = invocation.shell.environment.get(STEP_SUMMARY)
    if summary and "github" in formats:
        append_summary(Path(summary), run)
    return run
