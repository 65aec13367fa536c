"""Branch and bound over a box of one or two parameters: cut what is not proved, until all is or the budget ends.

A `Search` holds the pieces of one query. It knows no bound engine, no network and no clock: whoever runs it takes a
round of pieces, bounds them in whatever batches, and gives the results back. A round is settled as a whole, so that how
its pieces were batched, and with what others, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from usncli.certifying.certified_box import Box, certified_box
from usncli.certifying.scaling import ScaledRange, below
from usncli.certifying.splitting import cut, parts_needed, share_that_may_stay
from usncli.perturbing import Boxes

DANGEROUS = 4
"""One in so many pieces of a round is taken for its small margin, the others for being near the identity."""
HOPELESS_WIDTH = 2.0**-12
"""Share of the range's width at which a piece is left alone if the row fails to pass the threshold at its centre."""
NARROWEST = 2.0**-44
"""Width, as a share of the range's largest end, below which a piece is not cut: its parts' edges would coincide."""


class Pieces(NamedTuple):
    """Pieces of theta that are not proved.

    Attributes:
        boxes: ``(pieces, dimension)``.
        wanted: ``(pieces, rows)``, bool; rows that are not proved on a piece that holds this one.
        margins: ``(pieces,)``, the least margin known close by; small is dangerous.
    """

    boxes: Boxes
    wanted: Tensor
    margins: Tensor

    def take(self, which: Tensor) -> Pieces:
        """Return some pieces, by index or mask."""
        return Pieces(Boxes(self.boxes.lower[which], self.boxes.upper[which]), self.wanted[which], self.margins[which])


class Found(NamedTuple):
    """What bounding pieces has shown, on the CPU.

    Attributes:
        lower: lower bounds of the rows, ``(pieces, rows)``; minus infinity or no number where unknown.
        centre: the rows' values at the pieces' centres, ``(pieces, rows)``.
        margins: the property's margin at the centres, ``(pieces,)``.
        split: how much cutting along each parameter is expected to help, ``(pieces, dimension)``.
        passes: work done, in passes of the network, ``(pieces,)``.
        share: least share of the looseness to reckon with when pieces are cut, ``(pieces,)``.
    """

    lower: Tensor
    centre: Tensor
    margins: Tensor
    split: Tensor
    passes: Tensor
    share: Tensor


@dataclass(frozen=True)
class Outcome:
    """How far a search has come.

    Attributes:
        proved: every piece is proved.
        pieces: pieces bounded.
        certified_fraction: share of the range's volume that is proved.
        certified_box: the largest proved box around the identity that was found; None if there is none.
        certified_scale: the largest scale at which the whole range is proved; 0 if none.
        worst: least lower bound of the proved rows if all are proved; else the least margin met at a centre.
        partition: the proved pieces, disjoint but for their edges.
    """

    proved: bool
    pieces: int
    certified_fraction: float
    certified_box: Box | None
    certified_scale: float
    worst: float
    partition: Boxes


class Search:
    """The pieces of one query: open, stuck and proved.

    Args:
        region: the range of theta.
        start: pieces that cover the range, disjoint but for their edges.
    """

    def __init__(self, region: ScaledRange, start: Pieces) -> None:
        self.region = region
        self.open = self._start = start
        self.scale = 1.0
        self.pieces = 0
        self.least_bound = self.least_margin = float("inf")
        self._stuck = start.take(torch.zeros(0, dtype=torch.int64))
        self._proved: list[Boxes] = []

    @property
    def over(self) -> bool:
        """Whether no piece can be bounded any more."""
        return not len(self.open.margins)

    @property
    def unproved(self) -> Pieces:
        """Pieces that are not proved: open ones, and those that cannot be cut any further."""
        return _joined(self.open, self._stuck)

    def next_round(self, most: int) -> Pieces:
        """Take up to so many open pieces: those nearest to the identity, and among them a share of dangerous ones.

        Near ones first, so that a budget that ends leaves a proved range around the identity; dangerous ones too, since
        a counterexample ends the search.
        """
        count = len(self.open.margins)
        if count <= most:
            taken, self.open = self.open, self.open.take(torch.zeros(0, dtype=torch.int64))
            return taken
        near = self.region.scales(self.open.boxes)
        near[self.open.margins.argsort(stable=True)[: most // DANGEROUS]] = -1
        order = near.argsort(stable=True)
        taken, self.open = self.open.take(order[:most]), self.open.take(order[most:].sort().values)
        return taken

    def put_back(self, pieces: Pieces) -> None:
        """Open pieces again that were taken and not bounded."""
        self.open = _joined(self.open, pieces)

    def settle(self, pieces: Pieces, found: Found, threshold: float) -> None:
        """Close the pieces of a round that are proved; cut the others, without the rows that are proved.

        Args:
            pieces: as `next_round` gave them.
            found: of the same pieces.
            threshold: a row is proved where its bound is above this.
        """
        self.pieces += len(pieces.margins)
        self.least_margin = min(self.least_margin, float(found.margins.min()))
        closing = pieces.wanted & (found.lower > threshold)
        if bool(closing.any()):
            self.least_bound = min(self.least_bound, float(found.lower[closing].min()))
        wanted = pieces.wanted & ~closing
        unproved = wanted.any(dim=1)
        proved = ~unproved
        if bool(proved.any()):
            self._proved.append(Boxes(pieces.boxes.lower[proved], pieces.boxes.upper[proved]))
        if bool(unproved.any()):
            self._cut(
                Pieces(pieces.boxes, wanted, found.margins).take(unproved),
                Found(*[part[unproved] for part in found]),
                threshold,
            )

    def shrink(self, scale: float) -> None:
        """Give up what lies beyond the range at a smaller scale; pieces across its edge keep their inner part."""
        self.scale = scale
        box = self.region.box(scale)
        self.open, self._stuck = _within(self.open, box), _within(self._stuck, box)

    def reopen(self) -> None:
        """Open the pieces that were left alone, for another engine; where nothing is proved, begin again.

        Pieces that an engine could do nothing with are finer than another one needs.
        """
        again = self.unproved if self._proved else _within(self._start, self.region.box(self.scale))
        self.open, self._stuck = again, self._stuck.take(torch.zeros(0, dtype=torch.int64))

    def of_proved(self) -> Search:
        """Return a search of the pieces that are proved, all rows open again; the others stay unproved."""
        boxes = joined_boxes(self._proved, len(self.region.identity))
        count, rows = len(boxes.lower), self._start.wanted.shape[1]
        unknown = torch.full((count,), torch.inf, dtype=torch.float64)
        again = Search(self.region, Pieces(boxes, torch.ones(count, rows, dtype=torch.bool), unknown))
        again.scale, again._stuck = self.scale, self.unproved
        return again

    def outcome(self) -> Outcome:
        """Say how far the search has come."""
        unproved, partition = self.unproved.boxes, joined_boxes(self._proved, len(self.region.identity))
        proved = not len(unproved.lower) and self.scale >= 1
        fraction = float(self.region.shares(partition).sum())
        scale = min([self.scale, *self.region.scales(unproved).tolist()]) if len(partition.lower) else 0.0
        return Outcome(
            proved=proved,
            pieces=self.pieces,
            # Rounding must not make a part look like the whole.
            certified_fraction=1.0 if proved else min(fraction, 1 - 1e-12),
            certified_box=certified_box(partition, self.region.identity) if len(partition.lower) else None,
            certified_scale=1.0 if proved else below(scale),
            worst=self.least_bound if proved else self.least_margin,
            partition=partition,
        )

    def _cut(self, pieces: Pieces, found: Found, threshold: float) -> None:
        """Put the parts of unproved pieces with the open ones, and aside what is not worth cutting."""
        boxes = pieces.boxes
        largest = torch.maximum(self.region.lower.abs(), self.region.upper.abs())
        can_be_cut = (boxes.upper - boxes.lower) > NARROWEST * largest
        hopeless = ((found.centre <= threshold) & pieces.wanted).any(dim=1)
        small = (self.region.relative_widths(boxes) < HOPELESS_WIDTH).all(dim=1)
        stuck = ~can_be_cut.any(dim=1) | (hopeless & small)
        share = share_that_may_stay(found.lower, found.centre, threshold, pieces.wanted)
        parts = parts_needed(torch.maximum(share, found.share), torch.where(can_be_cut, found.split, 0))
        parts = torch.where(can_be_cut, parts, 1)
        # The most useful cut may be along a parameter that has no width left.
        alone = ~stuck & (parts.prod(dim=1) == 1)
        parts = torch.where(alone.unsqueeze(1) & can_be_cut, 2, parts)
        rest = pieces.take(~stuck)
        children, parent = cut(rest.boxes, parts[~stuck])
        opened = Pieces(children, rest.wanted[parent], rest.margins[parent])
        self.open = _joined(self.open, opened)
        self._stuck = _joined(self._stuck, pieces.take(stuck))


def start_pieces(region: ScaledRange, rows: int, counts: Sequence[int]) -> Pieces:
    """Cut a range into equal pieces with all rows open, so many along each parameter; margins are still unknown."""
    boxes, parent = cut(region.box(), torch.tensor([list(counts)]))
    return Pieces(
        boxes,
        torch.ones(len(parent), rows, dtype=torch.bool),
        torch.full((len(parent),), torch.inf, dtype=torch.float64),
    )


def joined_boxes(boxes: Sequence[Boxes], dimension: int) -> Boxes:
    """Return all boxes as one; none as boxes of no pieces."""
    empty = torch.zeros(0, dimension, dtype=torch.float64)
    return Boxes(torch.cat([empty, *[box.lower for box in boxes]]), torch.cat([empty, *[box.upper for box in boxes]]))


def _joined(first: Pieces, second: Pieces) -> Pieces:
    boxes = Boxes(*[torch.cat(pair) for pair in zip(first.boxes, second.boxes, strict=True)])
    return Pieces(boxes, torch.cat([first.wanted, second.wanted]), torch.cat([first.margins, second.margins]))


def _within(pieces: Pieces, box: Boxes) -> Pieces:
    """Return what of pieces lies within a box; pieces that only touch it are dropped."""
    lower, upper = torch.maximum(pieces.boxes.lower, box.lower), torch.minimum(pieces.boxes.upper, box.upper)
    flat = box.upper == box.lower
    inside = ((lower < upper) | flat).all(dim=1)
    return Pieces(Boxes(lower, upper), pieces.wanted, pieces.margins).take(inside)
