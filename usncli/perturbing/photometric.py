"""Brightness, contrast, and both at once."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from usncli.perturbing.perturbation import AffineImage, Perturbation

LUMA = (0.2989, 0.587, 0.114)
"""Weights of red, green and blue in a pixel's grey value, as in torchvision's ``rgb_to_grayscale`` (ITU-R BT.601)."""


class Pivot(StrEnum):
    """The grey value that contrast leaves unchanged.

    ``zero``: 0, the verification literature's convention. ``mean``: the mean grey value of each image, torchvision's.
    """

    ZERO = "zero"
    MEAN = "mean"


def pivot_value(images: Tensor, pivot: Pivot) -> Tensor:
    """Return the pivot of each image, ``(batch, 1, 1, 1)``.

    Args:
        images: ``(batch, 1 or 3, height, width)`` in [0, 1].
        pivot: which convention.
    """
    if pivot == Pivot.ZERO:
        return images.new_zeros(images.shape[0], 1, 1, 1)
    if images.shape[1] != len(LUMA):
        return images.mean(dim=(1, 2, 3), keepdim=True)
    grey = (images * images.new_tensor(LUMA).view(1, -1, 1, 1)).sum(dim=1, keepdim=True)
    return grey.mean(dim=(2, 3), keepdim=True)


@dataclass(frozen=True)
class Brightness(Perturbation):
    """x + b; the identity is b = 0."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """One parameter, ``brightness``."""
        return ("brightness",)

    @property
    def identity(self) -> tuple[float, ...]:
        """0."""
        return (0.0,)

    def affine(self, images: Tensor) -> AffineImage:
        """Offset x, direction 1."""
        return AffineImage(images, _ones(images).unsqueeze(1))


@dataclass(frozen=True)
class Contrast(Perturbation):
    """p + a (x - p); the identity is a = 1.

    Attributes:
        pivot: the grey value p that stays.
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

    def affine(self, images: Tensor) -> AffineImage:
        """Offset p, direction x - p."""
        pivot = pivot_value(images, self.pivot)
        return AffineImage(pivot.expand_as(images), (images - pivot).unsqueeze(1))


@dataclass(frozen=True)
class BrightnessContrast(Perturbation):
    """p + a (x - p) + b; theta is (brightness, contrast) = (b, a), the identity (0, 1).

    Attributes:
        pivot: the grey value p that contrast leaves.
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

    def affine(self, images: Tensor) -> AffineImage:
        """Offset p, directions 1 and x - p."""
        pivot = pivot_value(images, self.pivot)
        return AffineImage(pivot.expand_as(images), torch.stack([_ones(images), images - pivot], dim=1))


def _ones(images: Tensor) -> Tensor:
    """Return ones of the shape of ``images`` that take no memory."""
    return images.new_ones(()).expand_as(images)
