"""How far from the identity a theta lies within a range, on a scale from 0 (the identity) to 1 (the range's edge)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from usncli.perturbing import Boxes, PerturbationRange

_ROUNDING = 2.0**-40


@dataclass(frozen=True)
class ScaledRange:
    """A range of theta that can be shrunk towards the identity: ``identity + scale * (range - identity)``.

    Attributes:
        lower, upper: ends of the whole range, ``(dimension,)``, float64.
        identity: ``(dimension,)``, within the range.
    """

    lower: Tensor
    upper: Tensor
    identity: Tensor

    @classmethod
    def of(cls, region: PerturbationRange) -> ScaledRange:
        """Return the range of a perturbation."""
        return cls(*region.corners(), torch.tensor(region.perturbation.identity, dtype=torch.float64))

    def box(self, scale: float = 1.0) -> Boxes:
        """Return the range at a scale in [0, 1] as one box; at 1 exactly the whole."""
        if scale >= 1:
            return Boxes(self.lower.unsqueeze(0), self.upper.unsqueeze(0))
        lower = self.identity + scale * (self.lower - self.identity)
        upper = self.identity + scale * (self.upper - self.identity)
        return Boxes(lower.unsqueeze(0), upper.unsqueeze(0))

    def scales(self, boxes: Boxes) -> Tensor:
        """Return the least scale ``(pieces,)`` at which the range touches each piece; infinite if none does."""
        outward = torch.stack([boxes.lower - self.identity, self.identity - boxes.upper]).clamp(min=0)
        room = torch.stack([self.upper - self.identity, self.identity - self.lower]).unsqueeze(1)
        share = torch.where(outward > 0, outward / room, torch.zeros_like(outward))
        return share.amax(dim=(0, 2))

    def scale_of(self, theta: Tensor) -> float:
        """Return the least scale at which the range holds a theta ``(dimension,)``."""
        return float(self.scales(Boxes(theta.unsqueeze(0), theta.unsqueeze(0)))[0])

    def shares(self, boxes: Boxes) -> Tensor:
        """Return each piece's share of the range's volume, ``(pieces,)``; parameters without width do not count."""
        return self.relative_widths(boxes).prod(dim=1)

    def relative_widths(self, boxes: Boxes) -> Tensor:
        """Return the widths of pieces as shares of the range's, ``(pieces, dimension)``; 1 where it has no width."""
        width = self.upper - self.lower
        share = (boxes.upper - boxes.lower) / torch.where(width > 0, width, torch.ones_like(width))
        return torch.where(width > 0, share, torch.ones_like(share))


def below(scale: float) -> float:
    """Return a scale a hair lower, so that rounding the ends of its box never takes them beyond."""
    return scale * (1 - _ROUNDING)
