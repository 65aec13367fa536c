"""Backward passes: rows of one node's value carried back to earlier nodes, where forward enclosures take over.

A row ``A y`` equals, at any separating set of earlier nodes, ``constant + sum_n A_n x_n + e`` with ``|e| <= error``;
the enclosures of the x_n then bound it. The pass may stop anywhere and go on from there.

Coefficients are held in the working precision. What rounding them loses is charged by the steps; sums of rows are
accumulated in float64, or widened by what summing in the working precision loses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from usncli.bounding.affine.cells import Cells
from usncli.bounding.affine.enclosure import Enclosure, aligned, flattened, length_of
from usncli.bounding.affine.rounding import SUMMED, gamma, unit_roundoff
from usncli.bounding.affine.steps import ReluStep, Step


@dataclass
class Pass:
    """Rows on their way back; changed in place by `advance`.

    Attributes:
        pending: by node, coefficients ``(pieces, rows, *shape)`` that have not been carried further.
        constant: ``(pieces, rows)``, float64.
        error: ``(pieces, rows)``, float64, at least 0.
        cells: of the pieces.
        least, most: ``(pieces, rows, cells)``, float64: errors that are known by cell, summed up.
    """

    pending: dict[str, Tensor]
    constant: Tensor
    error: Tensor
    cells: Cells
    least: Tensor
    most: Tensor

    def take(self, pieces: Tensor, rows: Tensor) -> Pass:
        """Return the pass of some rows.

        Args:
            pieces: ``(selected,)``, which pieces.
            rows: ``(selected, count)``, which rows of each.
        """
        chosen = pieces.unsqueeze(1)
        pending = {name: coefficients[chosen, rows] for name, coefficients in self.pending.items()}
        parts = (part[chosen, rows] for part in (self.least, self.most))
        return Pass(pending, self.constant[chosen, rows], self.error[chosen, rows], self.cells, *parts)


def start(node: str, coefficients: Tensor, cells: Cells) -> Pass:
    """Begin with rows ``(pieces, rows, *shape)`` of a node's value."""
    zero = coefficients.new_zeros(coefficients.shape[:2], dtype=torch.float64)
    by_cell = zero.unsqueeze(2).expand(-1, -1, len(cells.centres))
    return Pass({node: coefficients}, zero, zero.clone(), cells, by_cell.clone(), by_cell.clone())


def advance(rows: Pass, node: str, step: Step, magnitudes: Mapping[str, Tensor]) -> None:
    """Carry what is pending at a node through its step.

    Args:
        rows: the pass; nothing may be pending at nodes that read this one.
        node: name of the node.
        step: what it is over the rows' pieces.
        magnitudes: largest absolute value ``(pieces,)`` of each node that is read several times.
    """
    coefficients = rows.pending.pop(node, None)
    if coefficients is None:
        return
    if isinstance(step, ReluStep):
        _add_known_errors(rows, coefficients, step)
    else:
        _add_errors(rows, coefficients, step)
    for source, part in zip(step.sources, step.back(coefficients), strict=True):
        other = rows.pending.get(source)
        if other is not None:
            lost = 2 * unit_roundoff(part.dtype) * (_total(part) + _total(other))
            rows.error += lost * magnitudes[source].unsqueeze(1)
        rows.pending[source] = part if other is None else part + other


def _add_errors(rows: Pass, coefficients: Tensor, step: Step) -> None:
    """Add shift and radius of a step."""
    error = _weighted(coefficients.abs(), step.radius)
    if step.shift is not None:
        constant, lost = _shifted(coefficients, step, error)
        rows.constant += constant
        rows.error += lost
    if error is not None:
        rows.error += error


def _add_known_errors(rows: Pass, coefficients: Tensor, step: ReluStep) -> None:
    """Add the errors of a ReLU, by cell."""
    values, least, most = step.errors(rows.cells)
    if not len(values):
        return
    chosen = flattened(coefficients, 2)[:, :, values]
    positive, negative = chosen.clamp(min=0), chosen.clamp(max=0)
    rows.least += (torch.bmm(positive, least) + torch.bmm(negative, most)).double()
    rows.most += (torch.bmm(positive, most) + torch.bmm(negative, least)).double()
    largest = torch.maximum(least.abs(), most.abs()).amax(dim=2, keepdim=True)
    lost = 2 * gamma(len(values) + 8, unit_roundoff(chosen.dtype))
    rows.error += torch.bmm(chosen.abs(), largest).squeeze(2).double() * lost


def _total(coefficients: Tensor) -> Tensor:
    return flattened(coefficients.abs(), 2).sum(dim=2, dtype=torch.float64) * (1 + SUMMED)


def _weighted(sizes: Tensor, radius: Tensor | None) -> Tensor | None:
    """Return at least ``sum sizes * radius`` over each row, ``(pieces, rows)``, float64."""
    if radius is None:
        return None
    flat = flattened(sizes, 2)
    radius = radius.expand(flat.shape[0] if radius.shape[0] == 1 else -1, *sizes.shape[2:]).reshape(len(flat), -1, 1)
    total = torch.bmm(flat, radius).squeeze(2).double()
    return total * (1 + 2 * gamma(flat.shape[2] + 4, unit_roundoff(flat.dtype)))


def _shifted(coefficients: Tensor, step: Step, error: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return ``sum coefficients * shift`` of each row, and what rounding may lose of it."""
    shift = step.shift
    assert shift is not None
    if step.centred:
        # No term is above the error's, so neither is what summing them in any order loses.
        assert error is not None
        flat = flattened(coefficients, 2)
        total = torch.bmm(flat, shift.reshape(len(flat), -1, 1)).squeeze(2).double()
        return total, error * (2 * gamma(flat.shape[2] + 4, unit_roundoff(flat.dtype)))
    wide = [axis + 1 for axis in range(1, shift.dim()) if shift.shape[axis] == 1 != coefficients.shape[axis + 1]]
    summed = coefficients.sum(dim=wide, keepdim=True, dtype=torch.float64) if wide else coefficients.double()
    sizes = coefficients.abs().sum(dim=wide, keepdim=True, dtype=torch.float64) if wide else summed.abs()
    terms = shift.double().unsqueeze(1)
    lost = flattened((sizes * terms.abs()), 2).sum(dim=2) * (2 * SUMMED)
    return flattened((summed * terms), 2).sum(dim=2), lost


class Found(NamedTuple):
    """What is known of rows, ``(pieces, rows)`` each.

    Attributes:
        enclosure: float64.
        lower, upper: least and greatest values, which may be narrower.
    """

    enclosure: Enclosure
    lower: Tensor
    upper: Tensor


def concretized(rows: Pass, enclosures: Mapping[str, Enclosure]) -> Found:
    """Bound rows by the enclosures of the nodes that are pending."""
    centre, radius = rows.constant, rows.error
    slopes = centre.new_zeros(len(centre), rows.cells.centres.shape[1], centre.shape[1])
    for name, coefficients in rows.pending.items():
        given = enclosures[name]
        exact, pieces = flattened(coefficients, 2).double(), len(coefficients)
        centre = centre + torch.bmm(exact, given.centre.reshape(pieces, -1, 1)).squeeze(2)
        own = torch.bmm(exact, flattened(given.slopes, 2).double().transpose(1, 2)).transpose(1, 2)
        unit = gamma(exact.shape[2] + 8, unit_roundoff(torch.float64))
        rounded = 4 * unit * (given.centre.abs().to(given.radius.dtype) + given.spread())
        lost = _weighted(coefficients.abs(), given.radius + rounded)
        assert lost is not None
        # Or, by Cauchy and Schwarz, a row's length times the error's.
        reach = (given.error_length() + length_of(rounded)) * (1 + SUMMED)
        along = torch.linalg.vector_norm(exact, dim=2) * reach.unsqueeze(1) * (1 + SUMMED)
        radius = radius + torch.minimum(lost, along)
        slopes = torch.add(*aligned(slopes, own))
    least, most = rows.least.amin(dim=2), rows.most.amax(dim=2)
    sizes = centre.abs() + rows.constant.abs() + slopes.abs().sum(dim=1) + least.abs() + most.abs()
    radius = radius * (1 + SUMMED) + 32 * unit_roundoff(torch.float64) * sizes
    dimension = rows.cells.centres.shape[1]
    moved = torch.einsum("pdr,cd->prc", slopes[:, :dimension], rows.cells.centres)
    spread = slopes[:, :dimension].abs().sum(dim=1) * rows.cells.half + slopes[:, dimension:].abs().sum(dim=1) + radius
    enclosure = Enclosure(centre + (least + most) / 2, slopes, radius + (most - least) / 2)
    return Found(
        enclosure,
        centre + (moved + rows.least).amin(dim=2) - spread,
        centre + (moved + rows.most).amax(dim=2) + spread,
    )
