"""Branch and bound over a box of one or two parameters: bisect what is not proved, until all is or the budget ends.

The loop knows no bound engine and no network: it is given two functions. It is deterministic but for the clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from usncli.certifying.certified_box import Box, certified_box
from usncli.perturbing import Boxes


class Bounds(NamedTuple):
    """What is known of a batch of pieces.

    Attributes:
        lower: lower bounds of the wanted rows over each piece, ``(pieces, rows)``; minus infinity where unknown.
        centre_margins: the property's margin at each piece's centre, ``(pieces,)``.
    """

    lower: Tensor
    centre_margins: Tensor


Bound = Callable[[Boxes, Tensor], Bounds]
"""Bounds pieces, given which rows of each are wanted, ``(pieces, rows)``."""
Confirm = Callable[[Tensor], bool]
"""Says whether a theta ``(dimension,)`` is a real counterexample; it keeps the witness itself."""


@dataclass(frozen=True)
class Budget:
    """When to give up.

    Attributes:
        deadline: reading of ``clock`` after which no batch is started.
        pieces: most pieces to bound.
        batch: pieces bounded at once.
        first_pieces: equal pieces along the first parameter to start from, a power of two; saves the coarse levels.
        clock: seconds.
    """

    deadline: float
    pieces: int
    batch: int
    clock: Callable[[], float]
    first_pieces: int = 1


@dataclass(frozen=True)
class Outcome:
    """How a search ended.

    Attributes:
        proved: every piece was proved.
        falsified: a counterexample was confirmed.
        pieces: pieces bounded.
        certified_fraction: share of the box's volume that is proved.
        certified_box: the largest proved box around the identity that was found; None if there is none.
        worst: least lower bound of the proved pieces if all are proved; else the least margin met at a centre.
    """

    proved: bool
    falsified: bool
    pieces: int
    certified_fraction: float
    certified_box: Box | None
    worst: float


class _Piece(NamedTuple):
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    wanted: Tensor
    depth: int


class _State:
    """Pieces proved and open, and the least values met."""

    def __init__(self, opened: Sequence[_Piece]) -> None:
        self.open = deque(opened)
        self.proved: list[_Piece] = []
        self.pieces = 0
        self.least_bound = float("inf")
        self.least_centre = float("inf")
        self.falsified = False


def branch_and_bound(
    box: Boxes, identity: Tensor, rows: int, functions: tuple[Bound, Confirm], threshold: float, budget: Budget
) -> Outcome:
    """Prove that all rows stay above a threshold over a box, or find where the property fails.

    Args:
        box: one box, ``(1, dimension)``.
        identity: ``(dimension,)``, the theta around which a certified box is reported; within the box.
        rows: number of rows.
        functions: how to bound pieces, and how to confirm a counterexample.
        threshold: a row counts as proved where its bound is above this, 0 or more.
        budget: when to give up.
    """
    bound, confirm = functions
    state = _State(_first_pieces(box, rows, budget.first_pieces))
    while state.open and not state.falsified and state.pieces < budget.pieces and budget.clock() < budget.deadline:
        batch = [state.open.popleft() for _ in range(min(budget.batch, len(state.open), budget.pieces - state.pieces))]
        boxes = _boxes(batch)
        bounds = bound(boxes, torch.stack([piece.wanted for piece in batch]))
        state.pieces += len(batch)
        _settle(state, batch, boxes, bounds, threshold, confirm)
    return _outcome(state, box, identity)


def _first_pieces(box: Boxes, rows: int, count: int) -> list[_Piece]:
    pieces = [_Piece(tuple(box.lower[0].tolist()), tuple(box.upper[0].tolist()), torch.ones(rows, dtype=torch.bool), 0)]
    while len(pieces) < count:
        pieces = [child for piece in pieces for child in _bisect(piece, piece.wanted)]
    return pieces


def _settle(
    state: _State, batch: Sequence[_Piece], boxes: Boxes, bounds: Bounds, threshold: float, confirm: Confirm
) -> None:
    """Close proved pieces; put the halves of the others at the end, without the rows that are proved."""
    lower, margins = bounds.lower.cpu(), bounds.centre_margins.cpu()
    state.least_centre = min(state.least_centre, float(margins.min()))
    for index, piece in enumerate(batch):
        proved = lower[index] > threshold
        if bool(proved.any()):
            state.least_bound = min(state.least_bound, float(lower[index][proved].min()))
        wanted = piece.wanted & ~proved
        if not bool(wanted.any()):
            state.proved.append(piece)
            continue
        if not float(margins[index]) > 0 and confirm(boxes.centres()[index]):
            state.falsified = True
            return
        state.open.extend(_bisect(piece, wanted))


def _bisect(piece: _Piece, wanted: Tensor) -> list[_Piece]:
    """Halve a piece across; both halves hold the same float where they meet.

    A two-dimensional piece is halved along its parameters in turn, which keeps its shape that of the whole box. A piece
    too narrow to halve stays as it is.
    """
    dimension = piece.depth % len(piece.lower)
    low, high = piece.lower[dimension], piece.upper[dimension]
    middle = low + (high - low) / 2
    depth = piece.depth + 1
    if not low < middle < high:
        return [piece._replace(wanted=wanted, depth=depth)]
    return [
        _Piece(piece.lower, _with(piece.upper, dimension, middle), wanted, depth),
        _Piece(_with(piece.lower, dimension, middle), piece.upper, wanted, depth),
    ]


def _with(values: tuple[float, ...], index: int, value: float) -> tuple[float, ...]:
    return (*values[:index], value, *values[index + 1 :])


def _boxes(pieces: Sequence[_Piece]) -> Boxes:
    return Boxes(
        torch.tensor([piece.lower for piece in pieces], dtype=torch.float64),
        torch.tensor([piece.upper for piece in pieces], dtype=torch.float64),
    )


def _outcome(state: _State, box: Boxes, identity: Tensor) -> Outcome:
    proved = not state.open and not state.falsified
    whole = float((box.upper - box.lower).prod())
    if proved:
        fraction = 1.0
    elif state.proved:
        boxes = _boxes(state.proved)
        # Rounding must not make a part look like the whole.
        fraction = min(float((boxes.upper - boxes.lower).prod(dim=1).sum()) / whole, 1 - 1e-12)
    else:
        fraction = 0.0
    return Outcome(
        proved=proved,
        falsified=state.falsified,
        pieces=state.pieces,
        certified_fraction=fraction,
        certified_box=certified_box(_boxes(state.proved), identity) if state.proved else None,
        worst=state.least_bound if proved else state.least_centre,
    )
