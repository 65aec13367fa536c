"""Progress of long work on stderr: a live bar a stage on a terminal, two lines a stage elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from usncli.cli.console import Consoles
from usncli.progress import ProgressCallback, ProgressUpdate, silent

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@contextmanager
def progress_bars(consoles: Consoles) -> Iterator[ProgressCallback]:
    """Yield what shows progress: bars on a terminal, lines in a log, nothing if asked to be quiet."""
    if consoles.quiet:
        yield silent
    elif consoles.err.is_terminal:
        bars = LiveBars(consoles)
        try:
            yield bars
        finally:
            bars.stop()
    else:
        yield LogLines(consoles)


class LiveBars:
    """One bar a stage, with its figures and the time left; the terminal is let go whenever all stages are done."""

    def __init__(self, consoles: Consoles) -> None:
        self._consoles = consoles
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, update: ProgressUpdate) -> None:
        """Show one step."""
        if self._progress is None:
            self._progress = _bars(self._consoles)
            self._progress.start()
        if update.stage not in self._tasks:
            self._tasks[update.stage] = self._progress.add_task(update.stage, total=update.total, figures="")
        self._progress.update(
            self._tasks[update.stage],
            completed=update.done,
            total=update.total,
            figures=figures_text(update.figures),
        )
        if self._progress.finished:
            self.stop()

    def stop(self) -> None:
        """Leave the bars as they are and let the terminal go."""
        if self._progress is not None:
            self._progress.stop()
        self._progress, self._tasks = None, {}


class LogLines:
    """A line when a stage begins and one when it ends, so that a log stays short."""

    def __init__(self, consoles: Consoles) -> None:
        self._consoles = consoles
        self._begun: set[str] = set()

    def __call__(self, update: ProgressUpdate) -> None:
        """Show one step, where it is the first or the last of its stage."""
        if update.stage not in self._begun:
            self._begun.add(update.stage)
            self._consoles.say(f"{update.stage}: {update.total} steps")
        if update.done >= update.total:
            self._begun.discard(update.stage)
            self._consoles.say(f"{update.stage}: done {figures_text(update.figures)}".rstrip())


def figures_text(figures: Mapping[str, float]) -> str:
    """Return figures as ``loss 0.123 error 1.5``."""
    return " ".join(f"{name} {value:.3g}" for name, value in figures.items())


def _bars(consoles: Consoles) -> Progress:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=consoles.err,
    )
