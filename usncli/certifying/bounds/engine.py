"""What a bound engine is."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from usncli.certifying.bounds.lines import Lines
from usncli.certifying.bounds.rows import Rows


class Work(NamedTuple):
    """Pieces of theta to bound, of one image or several.

    Attributes:
        images: lines of the network's normalised input over each piece.
        rows: what to bound, on the network's raw flattened outputs.
        wanted: ``(pieces, rows)``; rows that are still needed.
        centre: ``(pieces, rows)``, the rows' values at the pieces' centres.
        threshold: a row is proved once its bound is above this.
    """

    images: Lines
    rows: Rows
    wanted: Tensor
    centre: Tensor
    threshold: float


class BoundEngine(Protocol):
    """Bounds specification rows over pieces of theta.

    Attributes:
        dtype: of all it is given and returns.
        device: where it works.
        relus: ReLUs of the network as it is bounded.
        pieces_at_once: how many pieces it bounds best in one batch.
    """

    dtype: torch.dtype
    device: torch.device
    relus: int
    pieces_at_once: int

    def lower_bounds(self, work: Work) -> Tensor:
        """Return lower bounds of the wanted rows over each piece, ``(pieces, rows)``.

        What is not wanted, or not worth bounding, is minus infinity; a bound may be any number below the true minimum.
        """
        ...

    def forget(self) -> None:
        """Begin a new query: what was learned about cost on earlier pieces no longer counts."""
        ...

    def crossing_relus(self, images: Lines) -> Tensor:
        """Return how many ReLU inputs have bounds on both sides of 0 over each piece, ``(pieces,)``."""
        ...
