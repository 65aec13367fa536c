"""Perturbations that are affine in theta, but for clipping."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from usncli.perturbing.boxes import Boxes
from usncli.perturbing.clipping import clipped
from usncli.perturbing.lines import UNIT, Lines
from usncli.perturbing.perturbation import Perturbation


class AffineImage(NamedTuple):
    """Images as affine functions of theta: ``offset + sum_i theta_i * directions[i]``.

    Attributes:
        offset: ``(*batch, channels, height, width)``, the images at theta = 0; exact.
        directions: one a parameter, broadcastable to ``offset``; each exact but for one rounding.
    """

    offset: Tensor
    directions: tuple[Tensor, ...]


@dataclass(frozen=True)
class AffinePerturbation(Perturbation):
    """A perturbation that is affine in theta before it is clipped: a subclass gives offset and directions."""

    @abstractmethod
    def affine(self, images: Tensor) -> AffineImage:
        """Return the unclipped perturbed images as affine functions of theta.

        Args:
            images: ``(*batch, channels, height, width)`` in [0, 1].
        """

    def apply(self, images: Tensor, theta: Tensor) -> Tensor:
        """Return ``images + sum_i (theta_i - identity_i) * direction_i``; see `Perturbation.apply`.

        Sums elementwise instead of by a matrix product: a GPU may round the latter to TF32.
        """
        shift = (theta - theta.new_tensor(self.identity)).to(images)
        for index, direction in enumerate(self.affine(images).directions):
            amount = shift[..., index, None, None, None]
            # A constant direction takes one pass over the images less.
            constant = direction.dim() == 0
            images = images + amount * direction if constant else torch.addcmul(images, amount, direction)
        return images

    def units(self, lower: Sequence[float], upper: Sequence[float]) -> float:
        """Return the units of ``images + sum_i (theta_i - identity_i) d_i``, or of ``offset + sum_i theta_i d_i``.

        With ``b_i`` the largest of ``|theta_i|`` and ``|theta_i - identity_i|``, and ``|d_i| <= 1``: rounding theta_i,
        subtracting, the direction and the product lose at most ``b_i`` units each, and each sum its size.
        """
        ends = zip(self.identity, lower, upper, strict=True)
        amounts = [max(abs(end) for end in (low, high, low - none, high - none)) for none, low, high in ends]
        return 4 * sum(amounts) + len(amounts) * (1 + sum(amounts))

    def lines(self, image: Tensor, boxes: Boxes) -> Lines:
        """Enclose the image by the lines that it is, clipped if it is to be; see `Perturbation.lines`.

        Rounding, with u = 2^-53, centre c and radius r of the piece: the direction given is d (1 + e), |e| <= u, so the
        sum over n <= 2 parameters ``offset + c_1 d_1 + c_2 d_2`` errs by at most (n + 2) u times its absolute terms,
        and each slope ``r_i d_i`` by 2 u of itself, to first order. Together at most 4 u m, where m is the sum
        of |offset| and (|c_i| + r_i) |d_i|. We add 8 u m, which covers the higher orders and m's own rounding, and the
        least normal number for products below it.
        """
        form = self.affine(image)
        directions = torch.stack([direction.expand_as(form.offset) for direction in form.directions], dim=1)
        centres, radii = (part[:, :, None, None, None] for part in (boxes.centres(), boxes.radii()))
        middle, magnitude = form.offset, form.offset.abs()
        for index, direction in enumerate(directions.unbind(1)):
            middle = torch.addcmul(middle, centres[:, index], direction)
            magnitude = torch.addcmul(magnitude, centres[:, index].abs() + radii[:, index], direction.abs())
        slope, error = directions * radii, magnitude.mul_(8 * UNIT).add_(torch.finfo(image.dtype).tiny)
        if self.clip:
            return clipped(slope, middle, error)
        return Lines(slope, middle - error, slope, middle + error)
