"""How long work tells of its progress, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple


class ProgressUpdate(NamedTuple):
    """One step of long work.

    Attributes:
        stage: what is being done, in a few words; one progress bar a stage.
        done, total: steps finished, and steps in all.
        figures: numbers worth watching, such as loss, error and rho.
    """

    stage: str
    done: int
    total: int
    figures: Mapping[str, float] = {}


ProgressCallback = Callable[[ProgressUpdate], None]


def silent(update: ProgressUpdate) -> None:
    """Listen to nothing."""
