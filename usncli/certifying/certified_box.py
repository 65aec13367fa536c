"""The largest box around the identity that proved pieces cover."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from usncli.perturbing import Boxes

_ROUNDING = 1e-12


class Box(NamedTuple):
    """A box of theta.

    Attributes:
        lower, upper: its ends, one number a parameter.
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]


def certified_box(proved: Boxes, identity: Tensor) -> Box | None:
    """Return a box that holds the identity and that proved pieces cover: the largest in 1-D, one grown greedily in 2-D.

    Args:
        proved: disjoint pieces, at least one.
        identity: ``(dimension,)``.

    Returns:
        The box, or None where no proved piece holds the identity.
    """
    holding = ((proved.lower <= identity) & (identity <= proved.upper)).all(dim=1)
    if not bool(holding.any()):
        return None
    if len(identity) == 1:
        return _interval(proved, identity)
    volumes = (proved.upper - proved.lower).prod(dim=1)
    start = int(torch.where(holding, volumes, -torch.inf).argmax())
    lower, upper = proved.lower[start].clone(), proved.upper[start].clone()
    sides = [(axis, upward) for axis in range(len(identity)) for upward in (True, False)]
    while any(_grow(proved, lower, upper, axis, upward) for axis, upward in sides):
        pass
    return Box(tuple(lower.tolist()), tuple(upper.tolist()))


def _interval(proved: Boxes, identity: Tensor) -> Box:
    """Return the interval of pieces without a gap that holds the identity, which one of them holds."""
    lower, order = proved.lower[:, 0].sort(stable=True)
    reach = proved.upper[order, 0].cummax(0).values
    begins = torch.cat([torch.tensor([True]), lower[1:] > reach[:-1]])
    run = begins.cumsum(0)
    held = (lower <= identity) & (identity <= proved.upper[order, 0])
    same = run == run[held][0]
    return Box((float(lower[same][0]),), (float(reach[same][-1]),))


def _grow(proved: Boxes, lower: Tensor, upper: Tensor, axis: int, upward: bool) -> bool:
    """Move one side of a box, in place, outward to the next edge of a piece if the box stays covered; say if it did."""
    edges = proved.upper[:, axis] if upward else proved.lower[:, axis]
    beyond = edges[edges > upper[axis]] if upward else edges[edges < lower[axis]]
    if not len(beyond):
        return False
    new_lower, new_upper = lower.clone(), upper.clone()
    if upward:
        new_upper[axis] = beyond.min()
    else:
        new_lower[axis] = beyond.max()
    if not _covers(proved, new_lower, new_upper):
        return False
    lower.copy_(new_lower)
    upper.copy_(new_upper)
    return True


def _covers(proved: Boxes, lower: Tensor, upper: Tensor) -> bool:
    """Say whether disjoint pieces cover a box: their shares of its volume add up to all of it."""
    overlap = (torch.minimum(proved.upper, upper) - torch.maximum(proved.lower, lower)).clamp(min=0)
    return bool(overlap.prod(dim=1).sum() >= (upper - lower).prod() * (1 - _ROUNDING))
