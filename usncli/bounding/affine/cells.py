"""Cells of a piece: equal parts of its range of t over which errors that are known functions of t are bounded."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from usncli.bounding.affine.enclosure import Enclosure
from usncli.bounding.affine.rounding import unit_roundoff

A_LINE = 8
"""Cells of a piece of one parameter."""
A_SIDE = 4
"""Cells along each side of a piece of two."""


class Cells(NamedTuple):
    """Equal boxes of t that cover [-1, 1]^d.

    Attributes:
        centres: ``(cells, d)``; exact in every precision.
        half: half the width of each, a power of two.
    """

    centres: Tensor
    half: float

    def intervals(self, given: Enclosure) -> tuple[Tensor, Tensor]:
        """Return the least and greatest value over each cell, ``(pieces, values, cells)``, in the radius' precision.

        Args:
            given: enclosure of ``(pieces, values)``. Directions beyond theta's run over all of [-1, 1].
        """
        dimension = self.centres.shape[1]
        own, other = given.slopes[:, :dimension], given.slopes[:, dimension:]
        centre = given.centre.to(given.radius.dtype)
        spread = own.abs().sum(dim=1) * self.half + other.abs().sum(dim=1) + given.radius
        sizes = centre.abs() + own.abs().sum(dim=1) + spread
        spread = spread + sizes * ((given.slopes.shape[1] + 16) * unit_roundoff(centre.dtype))
        middle = centre.unsqueeze(2) + torch.einsum("pdv,cd->pvc", own, self.centres.to(own.dtype))
        return middle - spread.unsqueeze(2), middle + spread.unsqueeze(2)


def make_cells(dimension: int, device: torch.device) -> Cells:
    """Return the cells of pieces of so many parameters."""
    count = A_LINE if dimension == 1 else A_SIDE
    axis = (torch.arange(count, dtype=torch.float64, device=device) * 2 + 1) / count - 1
    return Cells(torch.cartesian_prod(*[axis] * dimension).reshape(-1, dimension), 1 / count)
