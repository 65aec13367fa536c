"""The pieces of theta that a verdict rests on, and whether they cover a box: the part of a proof that others can check.

Pieces are stored by their edges along each parameter, since neighbours share them, and compared as the exact numbers
that they are: nothing here rounds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from usncli.perturbing import Boxes


@dataclass(frozen=True)
class Partition:
    """Pieces of theta.

    Attributes:
        edges: for each parameter all values at which a piece begins or ends, increasing.
        cells: for each piece, for each parameter in turn, the positions of its lower and its upper edge; None for one
            piece a cell of the grid that the edges make, in lexicographic order.
    """

    edges: tuple[tuple[float, ...], ...]
    cells: tuple[tuple[int, ...], ...] | None = None

    @classmethod
    def of(cls, boxes: Boxes) -> Partition:
        """Return the partition that holds these pieces, at least one."""
        ends = torch.stack([boxes.lower, boxes.upper], dim=2)
        edges, places = [], []
        for axis in range(ends.shape[1]):
            values, inverse = torch.unique(ends[:, axis], return_inverse=True)
            edges.append(tuple(values.tolist()))
            places.append(inverse)
        cells = tuple(sorted(tuple(cell) for cell in torch.cat(places, dim=1).tolist()))
        return cls(tuple(edges), None if cells == _grid(edges) else cells)

    def boxes(self) -> Boxes:
        """Return the pieces, ``(pieces, dimension)``.

        Raises:
            ValueError: a cell names an edge that is not there.
        """
        cells = _grid(self.edges) if self.cells is None else self.cells
        limits = [len(edges) for edges in self.edges for _ in range(2)]
        if any(len(cell) != len(limits) for cell in cells) or any(
            not 0 <= place < limit for cell in cells for place, limit in zip(cell, limits, strict=True)
        ):
            raise ValueError("a piece names an edge that is not there")
        chosen = torch.tensor(cells, dtype=torch.int64).reshape(len(cells), len(self.edges), 2)
        columns = [torch.tensor(edges, dtype=torch.float64) for edges in self.edges]
        lower, upper = (
            torch.stack([column[chosen[:, axis, end]] for axis, column in enumerate(columns)], dim=1) for end in (0, 1)
        )
        return Boxes(lower, upper)

    def to_record(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        cells = None if self.cells is None else [list(cell) for cell in self.cells]
        return {"edges": [list(edges) for edges in self.edges], "cells": cells}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Partition:
        """Rebuild from `to_record`.

        Raises:
            KeyError, TypeError, ValueError: the record is not one.
        """
        cells = record["cells"]
        return cls(
            tuple(tuple(float(edge) for edge in edges) for edges in record["edges"]),
            None if cells is None else tuple(tuple(int(place) for place in cell) for cell in cells),
        )


def covers(boxes: Boxes, lower: Sequence[float], upper: Sequence[float]) -> bool:
    """Say whether closed boxes leave no point of a closed box uncovered; they may overlap and reach beyond it.

    Exact: between two neighbouring ends along the first parameter, the boxes that reach from the one to the other are
    the same everywhere, and they must cover what is left in the other parameters.

    Args:
        boxes: ``(pieces, dimension)``, float64.
        lower: lower ends of the box, one a parameter.
        upper: upper ends; where one equals the lower end, the box is a slice.
    """
    ends = [*lower, *upper, *boxes.lower.flatten().tolist(), *boxes.upper.flatten().tolist()]
    if not all(math.isfinite(end) for end in ends) or any(low > up for low, up in zip(lower, upper, strict=True)):
        return False
    low, up = torch.tensor([tuple(lower), tuple(upper)], dtype=torch.float64)
    return _cover(boxes.lower, boxes.upper, low, up)


def _cover(lower: Tensor, upper: Tensor, low: Tensor, up: Tensor) -> bool:
    touching = ((upper >= low) & (lower <= up)).all(dim=1)
    first, last, lower, upper = lower[touching, 0], upper[touching, 0], lower[touching], upper[touching]
    if not len(lower):
        return False
    if len(low) == 1:
        order = first.argsort(stable=True)
        first, reach = first[order], last[order].cummax(0).values
        return bool(first[0] <= low[0] and (first[1:] <= reach[:-1]).all() and reach[-1] >= up[0])
    ends = torch.unique(torch.cat([first, last, low[:1], up[:1]]))
    ends = ends[(ends >= low[0]) & (ends <= up[0])].tolist()
    spans = itertools.pairwise(ends) if len(ends) > 1 else [(ends[0], ends[0])]
    for begin, end in spans:
        spanning = (first <= begin) & (last >= end)
        if not _cover(lower[spanning, 1:], upper[spanning, 1:], low[1:], up[1:]):
            return False
    return True


def _grid(edges: Sequence[Sequence[float]]) -> tuple[tuple[int, ...], ...]:
    """Return one piece a cell of the grid; where a parameter has one edge, pieces have no width along it."""
    axes = [[(place, place + 1) for place in range(len(axis) - 1)] or [(0, 0)] for axis in edges]
    return tuple(tuple(itertools.chain(*cell)) for cell in itertools.product(*axes))
