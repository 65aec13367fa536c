"""For pieces of what width it pays to keep errors apart: learned on a query's pieces, for that query alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

HALF = 0.51
"""Parts of a piece that stayed open are about half as wide."""


@dataclass
class Widths:
    """What was learned.

    Attributes:
        closed: by query, the largest extent that was proved with errors kept apart.
        left_open: by query, the smallest extent at which nothing was.
    """

    closed: dict[int, float] = field(default_factory=dict)
    left_open: dict[int, float] = field(default_factory=dict)

    def forget(self) -> None:
        """Forget everything."""
        self.closed.clear()
        self.left_open.clear()

    def paid(self, queries: Tensor) -> Tensor:
        """Return the largest extent that was proved of each piece's query, ``(pieces,)``; minus infinity for none."""
        return self._of(self.closed, queries, -math.inf)

    def worth_trying(self, queries: Tensor, extents: Tensor) -> Tensor:
        """Say of which pieces nothing speaks against keeping errors apart, ``(pieces,)``."""
        return extents <= HALF * self._of(self.left_open, queries, math.inf)

    def learn(self, queries: Tensor, extents: Tensor, proved: Tensor) -> None:
        """Take note of pieces whose errors were kept apart, ``(pieces,)`` each."""
        for query in sorted(set(queries.tolist())):
            own = queries == query
            if bool(proved[own].any()):
                largest = float(extents[own & proved].max())
                self.closed[query] = max(self.closed.get(query, -math.inf), largest)
            else:
                extent = float(extents[own].max())
                self.left_open[query] = min(self.left_open.get(query, math.inf), extent)
                if query in self.closed:
                    self.closed[query] = min(self.closed[query], HALF * extent)

    @staticmethod
    def _of(learned: dict[int, float], queries: Tensor, otherwise: float) -> Tensor:
        found = [learned.get(query, otherwise) for query in queries.tolist()]
        return torch.tensor(found, dtype=torch.float64, device=queries.device)
