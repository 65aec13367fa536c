"""What a semantic perturbation is: h(image, theta) with theta of one or two dimensions.

One set of differentiable functions serves scoring, training, falsifying and certifying. Images are in [0, 1], before
the network's normalisation. Definition 2.3 of arXiv 2510.00083 allows any h; the formulas here are ours.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from usncli.perturbing.boxes import Boxes
from usncli.perturbing.lines import Lines, rounded


@dataclass(frozen=True)
class Perturbation(ABC):
    """A semantic perturbation; its calls own checks, clipping and precision, a subclass says only what it does.

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

    @property
    @abstractmethod
    def limits(self) -> tuple[tuple[float, float], ...]:
        """Least and greatest value that each parameter may be given."""

    @abstractmethod
    def apply(self, images: Tensor, theta: Tensor) -> Tensor:
        """Return new perturbed images, not yet clipped; leading dimensions broadcast.

        Differentiable in both arguments; at the identity exactly the images.

        Args:
            images: ``(*batch, channels, height, width)`` in [0, 1].
            theta: ``(*batch, dimension)``.
        """

    @abstractmethod
    def lines(self, image: Tensor, boxes: Boxes) -> Lines:
        """Enclose one perturbed image, clipped if it is to be, over pieces of theta, in float64.

        The lines hold in exact arithmetic for the very pixels and box ends given: the computation's own rounding widens
        them.

        Args:
            image: ``(1 or pieces, channels, height, width)`` in [0, 1], float64.
            boxes: the pieces, on the image's device.
        """

    @abstractmethod
    def units(self, lower: Sequence[float], upper: Sequence[float]) -> float:
        """Return by how many units of roundoff executing the perturbation may change a pixel, to first order.

        Executed operation by operation in a floating-point format of unit roundoff u, each pixel is within so many u of
        the exact one, clipped or not, if theta lies in the range before the format rounds it.

        Args:
            lower: least value of each parameter.
            upper: greatest values.
        """

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
        self._check(images, theta, (str(len(images)),))
        return self._clipped(images, theta)

    def expand(self, images: Tensor, theta: Tensor) -> Tensor:
        """Perturb every image by several thetas.

        Args:
            images: ``(batch, channels, height, width)`` in [0, 1].
            theta: ``(samples, dimension)``, the same for all images, or ``(batch, samples, dimension)``.

        Returns:
            ``(batch * samples, channels, height, width)``, the samples of one image side by side.

        Raises:
            ValueError: as for a call.
        """
        own = theta.dim() == 3
        self._check(images, theta, (str(len(images)), "samples") if own else ("samples",))
        return self._clipped(images.unsqueeze(1), theta if own else theta.unsqueeze(0)).flatten(0, 1)

    def enclosure(self, image: Tensor, boxes: Boxes) -> Lines:
        """Enclose one perturbed image over pieces of theta.

        For every theta of a piece there is a t in [-1, 1]^n such that each pixel, clipped if clipping is on, lies
        between its two lines at t. The first ``dimension`` entries of t are theta's, from the piece's lower corner at
        -1 to its upper at 1; where there are more, they are errors that several pixels share.

        This holds in exact arithmetic, for the function in real numbers, the pixels that are given and the closed box
        between the given ends: what the computation rounds is added to the lines. They are computed in float64, and
        rounded outward where ``image`` is less precise.

        Args:
            image: ``(1, channels, height, width)``, or one image a piece; in [0, 1].
            boxes: the pieces, within the limits of each parameter.

        Returns:
            Lines of shape ``(channels, height, width)``, in the dtype and on the device of ``image``; both of the same
            slope.

        Raises:
            ValueError: the images are not four-dimensional floating-point numbers, or not one or as many as the boxes,
                or the boxes have another dimension.
        """
        self._check(image, boxes.lower, (str(len(boxes.lower)),))
        if len(image) not in (1, len(boxes.lower)):
            raise ValueError(
                f"images: expected 1 image, or one for each of the {len(boxes.lower)} pieces, got {len(image)}"
            )
        device = image.device
        lines = self.lines(image.double(), Boxes(boxes.lower.to(device), boxes.upper.to(device)))
        return rounded(lines, image.dtype)

    def _clipped(self, images: Tensor, theta: Tensor) -> Tensor:
        perturbed = self.apply(images, theta)
        return torch.clamp_(perturbed, 0.0, 1.0) if self.clip else perturbed

    def _check(self, images: Tensor, theta: Tensor, rows: tuple[str, ...]) -> None:
        if images.dim() != 4 or not images.is_floating_point():
            raise ValueError(
                "images: expected floating-point numbers of shape (batch, channels, height, width), "
                f"got {images.dtype} of shape {tuple(images.shape)}"
            )
        wanted = (*rows, str(self.dimension))
        fits = len(wanted) == theta.dim() and all(
            name in ("samples", str(size)) for name, size in zip(wanted, theta.shape, strict=True)
        )
        if not fits or not theta.is_floating_point():
            raise ValueError(
                f"theta: expected floating-point numbers of shape ({', '.join(wanted)}) for "
                f"{', '.join(self.parameters)}, got {theta.dtype} of shape {tuple(theta.shape)}"
            )
