"""Shares with their denominators, and how sure they are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

CONFIDENCE = 0.95
INTERVAL = "95% Clopper-Pearson interval"
"""What `Rate.interval` is, in words."""
_HALVINGS = 60


@dataclass(frozen=True)
class Rate:
    """A share with its denominator.

    Attributes:
        count: how many.
        total: of how many.
    """

    count: int
    total: int

    @property
    def share(self) -> float:
        """Count over total; 0 of nothing is 0."""
        return self.count / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The exact confidence interval of the share among all that these are drawn from; see `clopper_pearson`."""
        return clopper_pearson(self.count, self.total)

    @property
    def interval_words(self) -> str:
        """The interval in percent, rounded outward: ``54.1-94.6%``."""
        low, high = (1000 * end for end in self.interval)
        # What floating point leaves of a whole number is not a reason to round further.
        return f"{math.floor(low + 1e-9) / 10:.1f}-{math.ceil(high - 1e-9) / 10:.1f}%"

    def __str__(self) -> str:
        return f"{self.count}/{self.total}"


class Step(NamedTuple):
    """A place of a curve: where, and how many of how many images."""

    eps: float
    rate: Rate


@dataclass(frozen=True)
class RateCurve:
    """Certified rates of ranges that are one range at several sizes.

    Attributes:
        name: of the perturbation.
        axis: what eps is, in words.
        points: the certified rate of each range, by size.
        certified: images proved up to an eps or further, a step at each eps where one drops out: a rate holds from the
            step before up to and with its own. Empty where largest ranges were not looked for.
        standing: images that are not known to fail within an eps, a step where one drops out: a rate holds from its own
            step on. Empty likewise.
    """

    name: str
    axis: str
    points: tuple[Step, ...]
    certified: tuple[Step, ...] = ()
    standing: tuple[Step, ...] = ()


@cache
def clopper_pearson(count: int, total: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the exact confidence interval of a binomial probability (Clopper and Pearson 1934).

    It holds the true probability at least as often as ``confidence`` says, whatever that probability is, if the
    ``total`` were drawn independently.

    Args:
        count: successes, 0 to ``total``.
        total: trials.
        confidence: in (0, 1).

    Returns:
        Lower and upper end, in [0, 1]; both limits where nothing was tried.
    """
    tail = (1 - confidence) / 2
    return _lower(count, total, tail), 1 - _lower(total - count, total, tail)


def _lower(count: int, total: int, tail: float) -> float:
    """Return the probability under which ``count`` successes or more are as likely as ``tail``; 0 where it is none."""
    if not count:
        return 0.0
    successes = np.arange(count, total + 1)
    steps = np.log(np.arange(total, 0, -1)) - np.log(np.arange(1, total + 1))
    ways = np.concatenate([[0.0], np.cumsum(steps)])[count:]
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        logs = ways + successes * math.log(middle) + (total - successes) * math.log1p(-middle)
        if np.exp(logs).sum() < tail:
            low = middle
        else:
            high = middle
    return low
