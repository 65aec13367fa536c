"""What a semantic perturbation is: h(image, theta) with theta of one or two dimensions.

One set of differentiable functions serves scoring, training, falsifying and certifying. Images are in [0, 1], before
the network's normalisation. Definition 2.3 of arXiv 2510.00083 allows any h; the formulas here are ours.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class AffineImage(NamedTuple):
    """Images as affine functions of theta: ``offset + sum_i theta_i * directions[:, i]``.

    Attributes:
        offset: ``(batch, channels, height, width)``.
        directions: ``(batch, dimension, channels, height, width)``.
    """

    offset: Tensor
    directions: Tensor

    def at(self, theta: Tensor) -> Tensor:
        """Evaluate at ``theta`` ``(batch, dimension)``."""
        return self.offset + torch.einsum("bd,bdchw->bchw", theta.to(self.offset), self.directions)


@dataclass(frozen=True)
class Perturbation(ABC):
    """A semantic perturbation; calling it owns the checks and the clipping, a subclass says only what it does.

    Attributes:
        clip: whether the perturbed image is clipped to [0, 1].
    """

    clip: bool = True

    @property
    @abstractmethod
    def parameters(self) -> tuple[str, ...]:
        """Name of each dimension of theta."""

    @property
    @abstractmethod
    def identity(self) -> tuple[float, ...]:
        """The theta that leaves every image unchanged."""

    @abstractmethod
    def affine(self, images: Tensor) -> AffineImage:
        """Return the unclipped perturbed images as affine functions of theta."""

    @property
    def dimension(self) -> int:
        """Number of parameters: 1 or 2."""
        return len(self.parameters)

    def __call__(self, images: Tensor, theta: Tensor) -> Tensor:
        """Perturb each image by its own theta.

        Args:
            images: ``(batch, channels, height, width)`` in [0, 1].
            theta: ``(batch, dimension)``.

        Returns:
            Perturbed images, shape of ``images``; in [0, 1] if clipping is on. Differentiable in both arguments.

        Raises:
            ValueError: theta has another shape.
        """
        if theta.shape != (images.shape[0], self.dimension):
            raise ValueError(
                f"theta: expected shape {(images.shape[0], self.dimension)} (batch, {', '.join(self.parameters)}), "
                f"got {tuple(theta.shape)}"
            )
        perturbed = self.affine(images).at(theta)
        return perturbed.clamp(0.0, 1.0) if self.clip else perturbed

    def expand(self, images: Tensor, theta: Tensor) -> Tensor:
        """Perturb every image by every theta.

        Args:
            images: ``(batch, channels, height, width)``.
            theta: ``(samples, dimension)``.

        Returns:
            ``(batch * samples, channels, height, width)``, the samples of one image side by side.
        """
        repeated = images.repeat_interleave(theta.shape[0], dim=0)
        return self(repeated, theta.to(images).repeat(images.shape[0], 1))
