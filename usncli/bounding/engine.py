"""What a bound engine is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from usncli.bounding.rows import Rows
from usncli.perturbing import Lines

POWER = 2.5
"""Looseness falls with this power of a piece's width: 2 to 3.5 on CNN7s, more the wider the piece."""


class Work(NamedTuple):
    """Pieces of theta to bound, of one image or several.

    Attributes:
        images: lines of the network's normalised input over each piece. The parameters of theta are a piece's first
            directions; those after them are errors, or 0 where the pieces of other images have more.
        rows: what to bound, on the network's raw flattened outputs.
        wanted: ``(pieces, rows)``; rows that are still needed.
        centre: ``(pieces, rows)``, the rows' values at the pieces' centres.
        threshold: ``(pieces,)``; a row is proved once its bound is above this.
        dimension: number of theta's parameters, of the pieces that have most.
        seconds: what the work may take, about: work that is optional and would take longer is left out.
        of_query: ``(pieces,)``, int64, which query each piece is of, by a number of its own; None: all are of one. What
            an engine learns about cost on the pieces of a query it uses for that query alone.
    """

    images: Lines
    rows: Rows
    wanted: Tensor
    centre: Tensor
    threshold: Tensor
    dimension: int = 1
    seconds: float = math.inf
    of_query: Tensor | None = None

    @property
    def queries(self) -> Tensor:
        """Return which query each piece is of, ``(pieces,)``."""
        if self.of_query is None:
            return torch.zeros(len(self.wanted), dtype=torch.int64, device=self.wanted.device)
        return self.of_query

    def pieces(self, chosen: Tensor) -> Work:
        """Return the work of some pieces, ``(selected,)``."""
        return self._replace(
            images=self.images.take(chosen),
            rows=self.rows.pieces(chosen),
            wanted=self.wanted[chosen],
            centre=self.centre[chosen],
            threshold=self.threshold[chosen],
            of_query=None if self.of_query is None else self.of_query[chosen],
        )

    def proved(self, lower: Tensor) -> Tensor:
        """Say which rows lower bounds ``(pieces, rows)`` prove; no number proves nothing."""
        return lower > self.threshold.unsqueeze(1)


class Bounded(NamedTuple):
    """What an engine found out about pieces.

    Attributes:
        lower: ``(pieces, rows)``, lower bounds; minus infinity where not wanted, or not worth bounding. Any number
            below the true minimum will do.
        split: ``(pieces, dimension)``, at least 0, on any scale: how much cutting along each parameter of theta is
            expected to lower the looseness.
        passes: ``(pieces,)``, float64, the work done for each piece: its multiply-adds as a multiple of those of one
            pass of the network over one image.
        share: ``(pieces,)``, in [0, 1]: the share of the looseness that may stay where pieces are cut, if ``lower``
            says less, as where narrower pieces are worth work that this one was not; None has no opinion.
    """

    lower: Tensor
    split: Tensor
    passes: Tensor
    share: Tensor | None = None


class BoundEngine(Protocol):
    """Bounds specification rows over pieces of theta.

    Attributes:
        dtype: of all it is given and returns.
        device: where it works.
        relus: number of ReLUs of the network as it is bounded, by the user's layer whose values they read, in order.
        pieces_at_once: how many pieces it bounds best in one batch.
    """

    dtype: torch.dtype
    device: torch.device
    relus: Mapping[str, int]
    pieces_at_once: int

    def lower_bounds(self, work: Work) -> Bounded:
        """Bound the wanted rows over each piece.

        Results of one piece may depend on the other pieces of its batch only in how tight they are.
        """
        ...

    def forget(self) -> None:
        """Begin a new query: what was learned about cost on earlier pieces no longer counts."""
        ...

    def crossing_relus(self, images: Lines) -> dict[str, Tensor]:
        """Return how many ReLU inputs have bounds on both sides of 0 over each piece, ``(pieces,)`` by layer.

        The layers are those of ``relus``.
        """
        ...
