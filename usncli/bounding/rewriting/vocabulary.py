"""What a rewritten network may hold besides affine maps, sums, differences and concatenations."""

from __future__ import annotations

from enum import Enum


class Vocabulary(Enum):
    """The nonlinear operations of a rewritten network.

    - ``RELU``: ReLU alone; others are expanded into ReLUs, or refused where that is not exact.
    - ``FULL``: every `Activation`, `Product` and `MaximumOverWindows`.
    """

    RELU = "relu"
    FULL = "full"


OWN_ENGINE = "bound with --engine usn, which knows it; auto_LiRPA does not"
"""Remedy of what is an operation of `Vocabulary.FULL` alone."""
APART = "keep images of a batch apart: leave dimension 0 alone"
"""Remedy of whatever lets one image of a batch depend on another."""


class CannotRewriteError(Exception):
    """Raised by a rule for an operation that it cannot write exactly.

    Args:
        reason: why, in a few words.
        remedy: what to change in the network.

    Attributes:
        remedy: as above.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy
