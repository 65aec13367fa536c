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


class CannotRewriteError(Exception):
    """Raised by a rule, with the reason, for an operation that it cannot write exactly."""
