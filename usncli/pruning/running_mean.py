"""A mean over scorings in which older ones fade."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor


class RunningMean:
    """Exponential mean of lists of tensors, corrected for its start at 0 (as Adam's moments, arXiv 1412.6980).

    Args:
        momentum: share of the mean that a new value leaves, in [0, 1); 0 keeps nothing of what came before.
    """

    def __init__(self, momentum: float) -> None:
        self.momentum = momentum
        self._sums: list[Tensor] = []
        self._count = 0

    def add(self, values: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Take in new values, of the same shapes each time, and return the mean."""
        before = self._sums or [value.new_zeros(value.shape) for value in values]
        self._sums = [
            self.momentum * old + (1 - self.momentum) * new.detach() for old, new in zip(before, values, strict=True)
        ]
        self._count += 1
        weight = 1 - self.momentum**self._count
        return tuple(total / weight for total in self._sums)

    def state(self) -> dict[str, Any]:
        """Return what must be saved: plain values and tensors."""
        return {"count": self._count, "sums": list(self._sums)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the state of a saved run."""
        self._count, self._sums = state["count"], list(state["sums"])
