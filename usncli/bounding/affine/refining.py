"""Inner layers bounded again by backward passes of their own, where they are few values that decide.

A backward pass of the rows suffers little from the growth of radii by |W|, but the intervals of deep activations do,
and with them their relaxations. So of pieces that come close the most doubtful values of layers are bounded again,
where they are few enough, and the layers after them once more.
"""

from __future__ import annotations

import torch
from torch import Tensor

from usncli.bounding.affine import backward
from usncli.bounding.affine.batch import Batch, undecided
from usncli.bounding.affine.enclosure import Enclosure, flattened, length_of
from usncli.bounding.affine.forward import propagate_after
from usncli.bounding.affine.rounding import UNDERFLOW, unit_roundoff

DOUBT = 0.85
"""Share of what relaxing a layer's values loses that refining it goes for."""


def refine_all(batch: Batch) -> bool:
    """Refine every layer where that is affordable, from the image on; say if any was."""
    any_refined = False
    for name in batch.plan.nodes:
        if name in batch.plan.read and _refine(batch, name):
            propagate_after(batch.bounder.network, name, batch.state, batch.bounder.settings)
            any_refined = True
    return any_refined


def _refine(batch: Batch, name: str) -> bool:
    """Bound the undecided values of a node again by backward passes from there, if they are few enough."""
    given = batch.state.enclosures[name]
    lower, upper = (end.clone() for end in batch.state.intervals[name])
    chosen = _most_doubtful(lower, upper)
    stop = _reachable(batch, name, chosen.shape[1])
    if not chosen.shape[1] or stop is None or not _loose(given, flattened(undecided(lower, upper), 1)):
        return False
    shape = given.centre.shape[1:]
    for pieces, rows in batch.chunks(chosen, stop):
        part = batch.taken(pieces)
        one_hot = given.radius.new_zeros(*rows.shape, shape.numel()).scatter_(2, rows.unsqueeze(2), 1.0)
        carried = backward.start(name, one_hot.view(*rows.shape, *shape), batch.cells)
        part.carry(carried, batch.plan.nodes.index(name) + 1, stop)
        found = part.concretized(carried)
        batch.passes = batch.passes.index_put((pieces.cpu(),), part.passes)
        given = _replaced(given, found.enclosure, pieces, rows)
        at = (pieces.unsqueeze(1), rows)
        flattened(lower, 1)[at] = torch.fmax(flattened(lower, 1)[at], _below(found.lower, lower.dtype))
        flattened(upper, 1)[at] = torch.fmin(flattened(upper, 1)[at], -_below(-found.upper, upper.dtype))
    batch.state.enclosures[name] = given
    batch.state.intervals[name] = (lower, upper)
    batch.state.refined.add(name)
    return True


def _reachable(batch: Batch, name: str, count: int) -> int | None:
    """Return the stop furthest back that passes of so many values may afford; None if they afford none."""
    budget = batch.bounder.effort.refining * batch.plan.whole
    stops = [stop for stop in batch.plan.stops_before(name) if batch.plan.cost(name, stop) * count <= budget]
    return stops[-1] if stops else None


def _most_doubtful(lower: Tensor, upper: Tensor) -> Tensor:
    """Return the values whose relaxation as a ReLU loses most, ``(pieces, count)``: `DOUBT` of all that is lost."""
    loss = flattened(torch.where(undecided(lower, upper), -lower * upper / (upper - lower), torch.zeros_like(lower)), 1)
    losses, order = torch.nan_to_num(loss, nan=0.0, posinf=0.0).sort(dim=1, descending=True, stable=True)
    before = losses.cumsum(dim=1) - losses
    count = int((before < DOUBT * losses.sum(dim=1, keepdim=True)).sum(dim=1).max())
    return order[:, :count]


def _loose(given: Enclosure, undecided: Tensor) -> bool:
    """Say whether the radius is much of the undecided values' spread."""
    radius = (flattened(given.radius, 1) * undecided).sum()
    return bool(radius > 0.3 * (flattened(given.spread(), 1) * undecided).sum())


def _replaced(given: Enclosure, new: Enclosure, pieces: Tensor, rows: Tensor) -> Enclosure:
    """Put enclosures of single values ``(pieces, rows)`` in their places, where they are narrower."""
    working, shape = given.radius.dtype, given.centre.shape[1:]
    at, directions = (pieces.unsqueeze(1), rows), given.slopes.shape[1]
    centre, radius = flattened(given.centre, 1), flattened(given.radius, 1)
    slopes = flattened(given.slopes, 2).transpose(1, 2)
    rounded = new.slopes.to(working)
    lost = (rounded.double() - new.slopes).abs().sum(dim=1)
    new_radius = ((new.radius + lost) * (1 + 4 * unit_roundoff(working))).to(working)
    better = new_radius + rounded.abs().sum(dim=1) < flattened(given.spread(), 1)[at]
    added = length_of(torch.where(better, new_radius, 0.0))
    length = None if given.length is None else given.length.index_add(0, pieces, added)
    rounded = torch.nn.functional.pad(rounded, [0, 0, 0, directions - rounded.shape[1]]).transpose(1, 2)
    centre = centre.index_put(at, torch.where(better, new.centre, centre[at]))
    radius = radius.index_put(at, torch.where(better, new_radius, radius[at]))
    slopes = slopes.index_put(at, torch.where(better.unsqueeze(2), rounded, slopes[at])).transpose(1, 2)
    return Enclosure(centre.view(-1, *shape), slopes.reshape(-1, directions, *shape), radius.view(-1, *shape), length)


def _below(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Return numbers of a dtype that are at most the values."""
    return (values - values.abs() * (4 * unit_roundoff(dtype))).to(dtype) - UNDERFLOW
