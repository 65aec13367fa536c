"""Every perturbation, and images and boxes to try them on."""

from __future__ import annotations

import torch
from torch import Tensor

from usncli.perturbing import (
    AffinePerturbation,
    Boxes,
    Brightness,
    BrightnessContrast,
    Contrast,
    Gamma,
    Perturbation,
    Pivot,
)

AFFINE: list[AffinePerturbation] = [
    Brightness(),
    Contrast(),
    Contrast(pivot=Pivot.MEAN),
    BrightnessContrast(),
    BrightnessContrast(pivot=Pivot.MEAN),
]
EVERY: list[Perturbation] = [*AFFINE, Gamma()]


def images(batch: int = 2, channels: int = 3, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(batch, channels, 5, 4, generator=torch.Generator().manual_seed(0), dtype=dtype)


def thetas(perturbation: Perturbation, *steps: tuple[float, float]) -> Tensor:
    """The identity plus steps of which a parameter takes its own."""
    identity = torch.tensor(perturbation.identity, dtype=torch.float64)
    return identity + torch.tensor(steps, dtype=torch.float64)[:, -perturbation.dimension :]


def unclipped(perturbation: Perturbation) -> Perturbation:
    return type(perturbation)(**{**vars(perturbation), "clip": False})


def pieces(perturbation: Perturbation) -> Boxes:
    """Wide, narrow and zero-width boxes, at the identity, away from it, and up to the limits."""
    identity = torch.tensor(perturbation.identity, dtype=torch.float64)
    least, greatest = torch.tensor(perturbation.limits, dtype=torch.float64).unbind(1)
    span = (greatest - least).clamp(max=2)
    low = torch.stack([least, identity - 0.2 * span, identity - 1e-3, identity, identity + 0.1 * span, identity, least])
    high = torch.stack([greatest, identity + 0.3 * span, identity + 1e-3, identity + 1e-9, identity + 0.4 * span])
    high = torch.cat([high, identity.unsqueeze(0), least.unsqueeze(0)])
    return Boxes(low.clamp(least, greatest), high.clamp(least, greatest))


def halves(boxes: Boxes, axis: int) -> Boxes:
    """The lower halves of all boxes along an axis, then the upper ones."""
    middle = boxes.centres()[:, axis]
    upper, lower = boxes.upper.clone(), boxes.lower.clone()
    upper[:, axis] = lower[:, axis] = middle
    return Boxes(torch.cat([boxes.lower, lower]), torch.cat([upper, boxes.upper]))
