"""Two plain ways to certify a query with an engine that bounds pieces of theta, for comparison with the product's own.

Both look at the network itself in the middle of every piece, so that what is false is not bounded for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from usncli.certifying.falsify import Target, first_witness
from usncli.certifying.scaling import ScaledRange
from usncli.certifying.splitting import cut
from usncli.certifying.verdicts import Verdict
from usncli.perturbing import Boxes

LADDER = (2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""Numbers of equal pieces that are tried along the range of one parameter."""
LADDER_2D = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Numbers of equal pieces that are tried along each of two parameters."""

HOPELESS = 1.5
"""A number of pieces that would take this many limits, as fast as its first pieces went, is given up."""


class Answer(NamedTuple):
    """How a query ended.

    Attributes:
        verdict: certified, falsified or unknown.
        pieces: that were bounded in the time that counts.
        seconds: that count.
    """

    verdict: Verdict
    pieces: int
    seconds: float


@dataclass(frozen=True)
class Asked:
    """A query and the engine that is to decide it.

    Attributes:
        target: the query.
        least: from pieces, the least lower bound of their rows, ``(pieces,)``.
        batch: pieces that are bounded at once.
        limit: seconds after which it counts as unknown.
    """

    target: Target
    least: Callable[[Boxes], Tensor]
    batch: int
    limit: float

    def fails(self, boxes: Boxes) -> bool:
        """Say whether the shipped network fails in the middle of some piece."""
        centres = boxes.centres()
        return first_witness(self.target, centres, self.target.margins_of_many(centres))[0] is not None


def bisect(asked: Asked) -> Answer:
    """Bound the whole range; halve what is not proved along its widest side, until all is proved."""
    region, started, pieces = ScaledRange.of(asked.target.region), time.perf_counter(), 0
    waiting = region.box()
    while len(waiting.lower):
        spent = time.perf_counter() - started
        if spent > asked.limit:
            return Answer(Verdict.UNKNOWN, pieces, spent)
        some, waiting = _apart(waiting, asked.batch)
        pieces += len(some.lower)
        unproved = ~(asked.least(some) > 0)
        rest = Boxes(some.lower[unproved], some.upper[unproved])
        if not len(rest.lower):
            continue
        if asked.fails(rest):
            return Answer(Verdict.FALSIFIED, pieces, time.perf_counter() - started)
        widest = region.relative_widths(rest).argmax(dim=1, keepdim=True)
        halves, _ = cut(rest, torch.ones_like(rest.lower).scatter_(1, widest, 2.0).long())
        waiting = Boxes(*(torch.cat(pair) for pair in zip(waiting, halves, strict=True)))
    return Answer(Verdict.CERTIFIED, pieces, time.perf_counter() - started)


def cut_uniformly(asked: Asked, ladder: Sequence[int] | None = None) -> Answer:
    """Bound so many equal pieces as suffice; only the time of the fewest that do counts, not that of finding them.

    Args:
        asked: the query.
        ladder: numbers along each parameter that are tried, ascending.
    """
    region, begun = ScaledRange.of(asked.target.region), time.perf_counter()
    dimension, critical = len(region.identity), region.identity
    for number in ladder or (LADDER if dimension == 1 else LADDER_2D):
        boxes, _ = cut(region.box(), torch.full((1, dimension), number))
        answer, critical = _bound_all(asked, boxes, critical)
        if answer is not None:
            return answer
        if asked.fails(boxes):
            return Answer(Verdict.FALSIFIED, len(boxes.lower), time.perf_counter() - begun)
        if time.perf_counter() - begun > 2 * asked.limit:
            break
    return Answer(Verdict.UNKNOWN, 0, asked.limit)


def _bound_all(asked: Asked, boxes: Boxes, critical: Tensor) -> tuple[Answer | None, Tensor]:
    """Bound pieces up to the first that is not proved.

    They come in the order in which they are likely not to be: first the one around the last that was not, then by the
    network's margin at their centres. If they would take much longer than the limit, they are given up.

    Returns:
        The answer, None if a piece was not proved, and the centre of that piece.
    """
    started, proved = time.perf_counter(), 0
    margins = asked.target.margins_of_many(boxes.centres()).double()
    margins[((boxes.lower <= critical) & (critical <= boxes.upper)).all(dim=1)] = -torch.inf
    ordered, order = time.perf_counter(), margins.argsort(stable=True)
    waiting = Boxes(boxes.lower[order], boxes.upper[order])
    while len(waiting.lower):
        # The first batch is small, since it is the one that mostly fails.
        some, waiting = _apart(waiting, asked.batch if proved else 1)
        unproved = (~(asked.least(some) > 0)).nonzero().squeeze(1)
        if len(unproved):
            return None, some.centres()[unproved[0]]
        proved += len(some.lower)
        spent, bounding = time.perf_counter() - started, time.perf_counter() - ordered
        hopeless = proved > asked.batch and bounding * len(boxes.lower) / proved > HOPELESS * asked.limit
        if hopeless or spent > asked.limit:
            return Answer(Verdict.UNKNOWN, proved, max(spent, asked.limit)), critical
    return Answer(Verdict.CERTIFIED, proved, time.perf_counter() - started), critical


def _apart(boxes: Boxes, count: int) -> tuple[Boxes, Boxes]:
    """Return the first so many pieces, and the others."""
    return Boxes(boxes.lower[:count], boxes.upper[:count]), Boxes(boxes.lower[count:], boxes.upper[count:])
