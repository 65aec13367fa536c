"""Progress of long work on stderr: a live bar a stage on a terminal, a few lines a stage elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

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
    """A line when a stage begins, one now and then while it lasts, and one when it ends, so that a log stays short.

    Args:
        consoles: where to.
        seconds: time between two lines of a stage.
        clock: tells the time in seconds.
    """

    def __init__(self, consoles: Consoles, seconds: float = 30.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._consoles = consoles
        self._seconds = seconds
        self._clock = clock
        self._spans: dict[str, _Span] = {}

    def __call__(self, update: ProgressUpdate) -> None:
        """Show one step, where it is time."""
        now = self._clock()
        if update.stage not in self._spans:
            self._spans[update.stage] = _Span(now, update.done, now)
            self._consoles.say(f"{update.stage}: {update.total} steps")
        span, figures = self._spans[update.stage], figures_text(update.figures)
        if update.done >= update.total:
            del self._spans[update.stage]
            self._consoles.say(f"{update.stage}: done {figures}".rstrip())
        elif now - span.told >= self._seconds and update.done > span.first:
            self._spans[update.stage] = span._replace(told=now)
            left = (now - span.began) / (update.done - span.first) * (update.total - update.done)
            line = f"{update.stage}: {update.done} of {update.total}, about {duration_text(left)} left {figures}"
            self._consoles.say(line.rstrip())


class _Span(NamedTuple):
    """When a stage began, at which step, and when it was last told of."""

    began: float
    first: int
    told: float


def duration_text(seconds: float) -> str:
    """Return a duration as ``45 s``, ``12 min`` or ``1.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


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
