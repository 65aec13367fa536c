"""Pieces of theta."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

ROUNDING = 2.0**-50
"""Relative widening of a piece, so that rounding its centre and radius never loses one of its ends."""


class Boxes(NamedTuple):
    """Pieces of theta, closed boxes.

    Attributes:
        lower, upper: ``(pieces, dimension)``, float64.
    """

    lower: Tensor
    upper: Tensor

    def centres(self) -> Tensor:
        """Return the centres, ``(pieces, dimension)``; each lies in its box."""
        middle = self.lower + (self.upper - self.lower) / 2
        return middle.clamp(self.lower, self.upper)

    def radii(self) -> Tensor:
        """Return half the widths, ``(pieces, dimension)``, rounded so that centre -+ radius reaches both ends."""
        centres = self.centres()
        return torch.maximum(self.upper - centres, centres - self.lower) * (1 + ROUNDING)
