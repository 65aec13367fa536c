"""Run the demo: make its material, type its commands, compare the networks."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from usncli.demo.chain import EXPORT_RUN, ONNX, SCORE_RUN, VARIANTS, command_lines
from usncli.demo.material import make_material
from usncli.errors import InterruptedRunError, UsnError
from usncli.progress import ProgressCallback
from usncli.reporting.comparison import comparison_table, networks_of
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.page import report_runs
from usncli.reporting.table import Table

INTERRUPTED = 130
PAGE = "report.html"

Usn = Callable[[Sequence[str]], int]
"""Runs ``usn`` with the words after it, and returns its exit code."""


class DemoResult(NamedTuple):
    """What a demo leaves.

    Attributes:
        table: the networks side by side.
        page: the HTML page.
        onnx: the pruned network.
    """

    table: Table
    page: Path
    onnx: Path


def run_commands(folder: Path, usn: Usn, tell: Callable[[str], None]) -> None:
    """Type the demo's commands in its folder; their tables are kept back, since the page shows them all.

    Args:
        folder: with the material.
        usn: the command line.
        tell: is told each command line before it runs.

    Raises:
        InterruptedRunError: a command was interrupted.
        UsnError: a command failed.
    """
    with contextlib.chdir(folder):
        for words in command_lines():
            tell(f"$ usn {' '.join(words)}")
            with contextlib.redirect_stdout(io.StringIO()):
                code = usn(words)
            if code == INTERRUPTED:
                raise InterruptedRunError("interrupted; the same command goes on from there")
            if code:
                raise UsnError(f"demo: expected 'usn {words[0]}' to end with exit code 0, got {code}; see above")


def run_demo(
    folder: Path, seed: int, device: str, usn: Usn, tell: Callable[[str], None], progress: ProgressCallback
) -> DemoResult:
    """Run the whole chain in a folder; what an earlier, interrupted demo finished there is kept.

    Args:
        folder: made if it is missing.
        seed: of images, training and every command.
        device: name of the device.
        usn: the command line.
        tell: is told each command line before it runs.
        progress: told of the baseline's training.

    Raises:
        UsnError: a command failed or was interrupted.
    """
    make_material(folder, seed, device, progress)
    run_commands(folder, usn, tell)
    return summarise(folder)


def summarise(folder: Path) -> DemoResult:
    """Compare the demo's networks and write its page.

    Raises:
        InputError: a run is not finished.
    """
    pruning = [folder / item.pruning_run for item in VARIANTS if item.pruning is not None]
    certification = [folder / item.certification_run for item in VARIANTS]
    runs = [folder / SCORE_RUN, *pruning, *certification, folder / EXPORT_RUN]
    page = report_runs(runs, folder / PAGE)
    networks = networks_of([FinishedRun.read(run) for run in runs])
    return DemoResult(comparison_table(networks), page, folder / ONNX)
