"""Brightness, contrast, and both at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor

from usncli.perturbing.affine import AffineImage, AffinePerturbation

LUMA = (2989, 5870, 1140)
"""Parts in ten thousand of red, green and blue in a pixel's grey value, as in torchvision's ``rgb_to_grayscale``
(ITU-R BT.601)."""
BRIGHTNESS = (-1.0, 1.0)
"""Widest range of brightness."""
CONTRAST = (0.0, 10.0)
"""Widest range of contrast."""


class Pivot(StrEnum):
    """The grey value that contrast leaves unchanged.

    ``zero``: 0, the verification literature's convention. ``mean``: the mean grey value of each image, torchvision's.
    """

    ZERO = "zero"
    MEAN = "mean"


def pivot_value(images: Tensor, pivot: Pivot) -> Tensor:
    """Return the pivot of each image, ``(*batch, 1, 1, 1)``.

    A mean is one number for an image, whoever asks for it: pixels are summed exactly, in fixed point of 24 bits, which
    is what float32 holds of them, and the mean is rounded to float32, whatever the precision of ``images``. So an image
    certified in float64 has the very pivot that it has where it ships, on any device and in any batch.

    Args:
        images: ``(*batch, channels, height, width)`` in [0, 1]; three channels are red, green and blue.
        pivot: which convention.
    """
    if pivot == Pivot.ZERO:
        return images.new_zeros(()).expand(*images.shape[:-3], 1, 1, 1)
    channels = images.shape[-3]
    parts, whole = (LUMA, 10_000) if channels == len(LUMA) else ((1,) * channels, channels)
    fixed = (images.detach().float() * 2.0**24).round().long().sum(dim=(-2, -1), keepdim=True)
    total = (fixed * fixed.new_tensor(parts).view(-1, 1, 1)).sum(dim=-3, keepdim=True).double()
    value = (total / (whole * math.prod(images.shape[-2:]) * 2.0**24)).float().to(images)
    if not images.requires_grad:
        return value
    grey = (images * (images.new_tensor(parts) / whole).view(-1, 1, 1)).sum(dim=-3, keepdim=True)
    mean = grey.mean(dim=(-2, -1), keepdim=True)
    return value + (mean - mean.detach())


@dataclass(frozen=True)
class Brightness(AffinePerturbation):
    """x + b; the identity is b = 0."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """One parameter, ``brightness``."""
        return ("brightness",)

    @property
    def identity(self) -> tuple[float, ...]:
        """0."""
        return (0.0,)

    @property
    def limits(self) -> tuple[tuple[float, float], ...]:
        """From -1 to 1."""
        return (BRIGHTNESS,)

    def affine(self, images: Tensor) -> AffineImage:
        """Offset x, direction 1."""
        return AffineImage(images, (images.new_ones(()),))


@dataclass(frozen=True)
class Contrast(AffinePerturbation):
    """p + a (x - p); the identity is a = 1.

    Attributes:
        pivot: the grey value p that stays; see `pivot_value`.
    """

    pivot: Pivot = Pivot.ZERO

    @property
    def parameters(self) -> tuple[str, ...]:
        """One parameter, ``contrast``."""
        return ("contrast",)

    @property
    def identity(self) -> tuple[float, ...]:
        """1."""
        return (1.0,)

    @property
    def limits(self) -> tuple[tuple[float, float], ...]:
        """From 0 to 10."""
        return (CONTRAST,)

    def affine(self, images: Tensor) -> AffineImage:
        """Offset p, direction x - p."""
        pivot = pivot_value(images, self.pivot)
        return AffineImage(pivot.expand_as(images), (images - pivot,))


@dataclass(frozen=True)
class BrightnessContrast(AffinePerturbation):
    """p + a (x - p) + b; theta is (brightness, contrast) = (b, a), the identity (0, 1).

    Attributes:
        pivot: the grey value p that contrast leaves; see `pivot_value`.
    """

    pivot: Pivot = Pivot.ZERO

    @property
    def parameters(self) -> tuple[str, ...]:
        """Two parameters, ``brightness`` before ``contrast``."""
        return ("brightness", "contrast")

    @property
    def identity(self) -> tuple[float, ...]:
        """(0, 1)."""
        return (0.0, 1.0)

    @property
    def limits(self) -> tuple[tuple[float, float], ...]:
        """Brightness from -1 to 1, contrast from 0 to 10."""
        return (BRIGHTNESS, CONTRAST)

    def affine(self, images: Tensor) -> AffineImage:
        """Offset p, directions 1 and x - p."""
        pivot = pivot_value(images, self.pivot)
        return AffineImage(pivot.expand_as(images), (images.new_ones(()), images - pivot))
