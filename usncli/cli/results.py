"""Showing a finished run: tables on stdout, other formats to files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from usncli.cli.console import Consoles

if TYPE_CHECKING:
    from usncli.reporting.finished_run import FinishedRun


def show_results(folder: Path, formats: Iterable[tuple[str, Path]], consoles: Consoles) -> FinishedRun:
    """Print the tables of a finished run, write it in each format that was asked for, and return it.

    Raises:
        InputError: the folder's files are damaged.
    """
    from usncli.reporting.finished_run import FinishedRun
    from usncli.reporting.formats import write_format
    from usncli.reporting.tables import tables

    run = FinishedRun.read(folder)
    for table in tables(run.record):
        consoles.show(table)
    for name, path in formats:
        write_format(name, path, run)
        consoles.say(f"{name}: {path}")
    return run
