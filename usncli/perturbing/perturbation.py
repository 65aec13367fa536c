"""What a semantic perturbation is: h(image, theta) with theta of one or two dimensions.

One set of differentiable functions serves scoring, training, falsifying and certifying. Images are in [0, 1], before
the network's normalisation. Definition 2.3 of arXiv 2510.00083 allows any h; the formulas here are ours.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from usncli.perturbing.boxes import Boxes
from usncli.perturbing.clipping import clipped
from usncli.perturbing.lines import Lines


class AffineImage(NamedTuple):
    """Images as affine functions of theta: ``offset + sum_i theta_i * directions[:, i]``.

    Attributes:
        offset: ``(batch, channels, height, width)``, the images at theta = 0.
        directions: ``(batch, dimension, channels, height, width)``.
    """

    offset: Tensor
    directions: Tensor

    def at(self, theta: Tensor) -> Tensor:
        """Evaluate at ``theta`` ``(batch, dimension)``, in the dtype and on the device of the images."""
        return _add_directions(self.offset, self.directions, theta)


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
            Perturbed images, shape, dtype and device of ``images``; in [0, 1] if clipping is on. Differentiable in both
            arguments. At the identity exactly the images that came in.

        Raises:
            ValueError: the images are not four-dimensional floating-point numbers, or theta has another shape.
        """
        self._check(images, theta, samples=images.shape[0])
        shift = theta - theta.new_tensor(self.identity)
        return self._clipped(_add_directions(images, self.affine(images).directions, shift))

    def expand(self, images: Tensor, theta: Tensor) -> Tensor:
        """Perturb every image by every theta.

        Args:
            images: ``(batch, channels, height, width)`` in [0, 1].
            theta: ``(samples, dimension)``.

        Returns:
            ``(batch * samples, channels, height, width)``, the samples of one image side by side.

        Raises:
            ValueError: as for a call.
        """
        self._check(images, theta, samples=None)
        shift = (theta - theta.new_tensor(self.identity)).unsqueeze(0)
        directions = self.affine(images).directions.unsqueeze(1)
        perturbed = _add_directions(images.unsqueeze(1), directions, shift)
        return self._clipped(perturbed.flatten(0, 1))

    def enclosure(self, image: Tensor, boxes: Boxes) -> Lines:
        """Enclose one perturbed image over pieces of theta.

        Without clipping the two lines coincide with the image. With it, a pixel that crosses 0 or 1 within the piece
        gets the parallel lines of `usncli.perturbing.clipping.clipped`.

        Args:
            image: ``(1, channels, height, width)``, or one image a piece; in [0, 1].
            boxes: the pieces.

        Returns:
            Lines of shape ``(channels, height, width)``, in the dtype of ``image``.
        """
        form = self.affine(image)
        centres, radii = boxes.centres().to(image), boxes.radii().to(image)
        middle = form.offset + (form.directions * centres[:, :, None, None, None]).sum(dim=1)
        slope = form.directions * radii[:, :, None, None, None]
        lines = Lines(slope, middle, slope, middle)
        return clipped(lines) if self.clip else lines

    def _clipped(self, images: Tensor) -> Tensor:
        return images.clamp(0.0, 1.0) if self.clip else images

    def _check(self, images: Tensor, theta: Tensor, samples: int | None) -> None:
        if images.dim() != 4 or not images.is_floating_point():
            raise ValueError(
                "images: expected floating-point numbers of shape (batch, channels, height, width), "
                f"got {images.dtype} of shape {tuple(images.shape)}"
            )
        rows = theta.shape[0] if samples is None and theta.dim() else samples
        if tuple(theta.shape) != (rows, self.dimension) or not theta.is_floating_point():
            raise ValueError(
                f"theta: expected floating-point numbers of shape ({'samples' if samples is None else samples}, "
                f"{self.dimension}) for {', '.join(self.parameters)}, got {theta.dtype} of shape {tuple(theta.shape)}"
            )


def _add_directions(images: Tensor, directions: Tensor, theta: Tensor) -> Tensor:
    """Return ``images + sum_i theta_i * directions_i``; leading dimensions broadcast.

    Sums elementwise instead of by a matrix product: a GPU may round the latter to TF32.

    Args:
        images: ``(*batch, channels, height, width)``.
        directions: ``(*batch, dimension, channels, height, width)``.
        theta: ``(*batch, dimension)``.
    """
    theta = theta.to(images)
    for index in range(theta.shape[-1]):
        images = images + theta[..., index, None, None, None] * directions[..., index, :, :, :]
    return images
