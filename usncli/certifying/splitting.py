"""Into how many parts an unproved piece is cut, and along which parameters.

The looseness of a bound (a row's value at the piece's centre less its lower bound) falls with a power of the piece's
width. From one bound one can tell how narrow a piece must be to be proved. A piece that is still too wide costs as much
as one that is not, so pieces are cut at once into as many parts as they are expected to need.
"""

from __future__ import annotations

import functools
import itertools
import math

import torch
from torch import Tensor

from usncli.bounding.engine import POWER
from usncli.perturbing import Boxes

MOST_ALONG_ONE = 8
"""Most parts along one parameter; a prediction of more is too uncertain to be followed."""
MOST_PARTS = 16
"""Most parts of a piece in two dimensions."""


def share_that_may_stay(lower: Tensor, centre: Tensor, threshold: float, still_open: Tensor) -> Tensor:
    """Return what share of its looseness each piece may keep if all its rows are to be proved, ``(pieces,)``.

    Args:
        lower: lower bounds, ``(pieces, rows)``; minus infinity or no number where unknown.
        centre: the rows' values at the pieces' centres, ``(pieces, rows)``.
        threshold: a row is proved above this.
        still_open: ``(pieces, rows)``, rows that are not proved.

    Returns:
        Shares in [0, 1]: 1 where no row is open, 0 where nothing is known or the centre itself is not above the
        threshold.
    """
    share = (centre - threshold) / (centre - lower).clamp(min=1e-300)
    share = torch.where(torch.isnan(share), torch.zeros_like(share), share.clamp(0, 1))
    return torch.where(still_open, share, torch.ones_like(share)).amin(dim=1)


def parts_needed(share: Tensor, pull: Tensor) -> Tensor:
    """Return into how many parts to cut each piece along each parameter, ``(pieces, dimension)``, int64.

    Of all cuttings that are expected to bring the looseness down to the given share, the one with the fewest parts; if
    none does, the one that brings it down most.

    Args:
        share: of the looseness that may stay, ``(pieces,)``, in [0, 1].
        pull: how much of the looseness comes from the extent along each parameter, ``(pieces, dimension)``, at least 0
            on any scale; 0 where a piece cannot be cut.
    """
    candidates = _candidates(pull.shape[1])
    pull = torch.where(torch.isfinite(pull), pull, torch.zeros_like(pull)).clamp(min=0)
    pull = torch.where(pull.sum(dim=1, keepdim=True) > 0, pull, torch.ones_like(pull))
    pull = pull / pull.sum(dim=1, keepdim=True)
    # Looseness as a power of the extents' weighted sum: extent (pieces, candidates) after cutting, 1 before.
    extent = (pull.unsqueeze(1) / candidates).sum(dim=2)
    narrow_enough = extent <= share.pow(1 / POWER).unsqueeze(1) + 1e-12
    cost = torch.where(narrow_enough, candidates.prod(dim=1) + extent, MOST_PARTS * (2 + extent))
    return candidates[cost.argmin(dim=1)].to(torch.int64)


def cut(boxes: Boxes, parts: Tensor) -> tuple[Boxes, Tensor]:
    """Cut pieces into equal parts along each parameter; neighbours share the same float where they meet.

    Args:
        boxes: the pieces, ``(pieces, dimension)``.
        parts: ``(pieces, dimension)``, int64, at least 1.

    Returns:
        The parts, those of one piece side by side, and which piece each is of, ``(parts,)``.
    """
    totals = parts.prod(dim=1)
    parent = torch.repeat_interleave(torch.arange(len(parts)), totals)
    remaining = torch.arange(len(parent)) - (totals.cumsum(0) - totals)[parent]
    lower, upper = [], []
    for axis in range(parts.shape[1]):
        count = parts[parent, axis]
        place = remaining % count
        remaining = remaining // count
        low, high = boxes.lower[parent, axis], boxes.upper[parent, axis]
        lower.append(_edge(low, high, place, count))
        upper.append(_edge(low, high, place + 1, count))
    return Boxes(torch.stack(lower, dim=1), torch.stack(upper, dim=1)), parent


def _edge(low: Tensor, high: Tensor, place: Tensor, count: Tensor) -> Tensor:
    """Return where the part at a place begins; depends on nothing else, so that neighbours agree on it."""
    return torch.where(place == count, high, low + (high - low) * (place.double() / count))


@functools.cache
def _candidates(dimension: int) -> Tensor:
    """Return ways to cut a piece, ``(candidates, dimension)``."""
    most = MOST_ALONG_ONE if dimension == 1 else MOST_PARTS
    every = itertools.product(range(1, MOST_ALONG_ONE + 1), repeat=dimension)
    return torch.tensor([parts for parts in every if 2 <= math.prod(parts) <= most], dtype=torch.float64)
