"""Rows that a forward pass leaves open, carried back as far as they need and may."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from usncli.bounding.affine import backward
from usncli.bounding.affine.batch import Batch
from usncli.bounding.affine.rounding import CENTRE, unit_roundoff
from usncli.bounding.engine import Work
from usncli.bounding.rows import Rows

GROUP = 8
"""Pieces whose rows are carried back at once."""


def carried_back(batch: Batch, work: Work, bounds: Tensor) -> Tensor:
    """Carry open rows back, ever further while some stay open and work may be spent."""
    twins = opposites(work.rows)
    still_open = work.wanted & ~work.proved(bounds)
    served = (
        still_open.gather(1, twins.clamp(min=0))
        & (twins >= 0)
        & (twins < torch.arange(twins.shape[1], device=twins.device))
    )
    carried = still_open & ~served
    for pieces, rows in _groups_of_rows(batch, carried):
        part = batch.taken(pieces)
        least_of, most_of = _rows_carried_back(part, work, pieces, rows, twins)
        batch.passes = batch.passes.index_put((pieces.cpu(),), part.passes)
        at = (pieces.unsqueeze(1), rows)
        bounds = bounds.index_put(at, torch.fmax(bounds[at], least_of))
        twin = twins[at]
        twin_bounds = torch.fmax(bounds[pieces.unsqueeze(1), twin.clamp(min=0)], most_of)
        own = bounds[at]
        at_twin = (pieces.unsqueeze(1), torch.where(twin >= 0, twin, rows))
        bounds = bounds.index_put(at_twin, torch.where(twin >= 0, twin_bounds, own))
    return bounds


def _groups_of_rows(batch: Batch, carried: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Group pieces by how many of their rows ``(pieces, rows)`` are carried, so that few are filled up in vain."""
    counts = carried.sum(dim=1)
    order = counts.argsort(stable=True)
    order = order[counts[order] > 0]
    # Refining may have proved every row: splitting nothing gives one group of no piece.
    for group in torch.split(order, GROUP) if len(order) else ():
        chosen = carried[group].to(torch.int8).argsort(dim=1, descending=True, stable=True)
        for pieces, rows in batch.chunks(chosen[:, : int(counts[group].max())], 1):
            yield group[pieces], rows


def _rows_carried_back(batch: Batch, work: Work, pieces: Tensor, rows: Tensor, twins: Tensor) -> tuple[Tensor, Tensor]:
    """Bound rows ``(pieces, count)`` of these pieces, and with the same passes their opposites."""
    target = batch.plan.nodes[-1]
    specification = work.rows.take(pieces, rows)
    at = (pieces.unsqueeze(1), rows)
    twin = twins[at]
    opposite = (pieces.unsqueeze(1), twin.clamp(min=0))
    exact = specification.dense(batch.plan.sizes[target])
    coefficients = exact.to(batch.outputs().radius.dtype)
    carried = backward.start(target, coefficients, batch.cells)
    lost = 4 * unit_roundoff(coefficients.dtype) * exact.abs().sum(dim=2)
    carried.error += lost * batch.outputs().magnitude().unsqueeze(1)
    threshold = work.threshold[pieces].unsqueeze(1)
    wanted, twin_wanted = work.wanted[at], work.wanted[opposite] & (twin >= 0)
    best = torch.full_like(carried.constant, -torch.inf)
    best_of_twin, bias, twin_bias = best.clone(), work.rows.bias[at], work.rows.bias[opposite]
    position, budget = len(batch.plan.nodes), batch.bounder.effort.rows
    for stop in batch.plan.stops_before(target):
        budget -= rows.shape[1] * batch.between(position, stop)
        if budget < 0:
            break
        batch.carry(carried, position, stop)
        position = stop
        found = batch.concretized(carried)
        best = torch.fmax(best, found.lower + bias - 8 * CENTRE * bias.abs())
        best_of_twin = torch.fmax(best_of_twin, twin_bias - found.upper - 8 * CENTRE * twin_bias.abs())
        if not bool((wanted & ~(best > threshold) | twin_wanted & ~(best_of_twin > threshold)).any()):
            break
    return best, best_of_twin


def opposites(rows: Rows) -> Tensor:
    """Return, for each row ``(pieces, rows)``, the row with opposite coefficients, -1 where there is none.

    One backward pass serves both. They are looked for only among rows of one output each, as keypoints have.
    """
    none = torch.full(rows.bias.shape, -1, dtype=torch.int64, device=rows.bias.device)
    if bool((rows.coefficients[..., 1] != 0).any()):
        return none
    index, coefficient = rows.indices[..., 0], rows.coefficients[..., 0]
    same = (index.unsqueeze(1) == index.unsqueeze(2)) & (coefficient.unsqueeze(1) == -coefficient.unsqueeze(2))
    same &= coefficient.unsqueeze(1) != 0
    return torch.where(same.any(dim=2), same.to(torch.int8).argmax(dim=2), none)
