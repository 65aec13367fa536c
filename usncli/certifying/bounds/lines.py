"""Lower and upper lines over a piece of theta, and the images that they enclose.

A piece is a box of theta; t in [-1, 1]^d runs over it, from its lower to its upper corner. Everything that is bounded
over the piece lies between two lines (affine functions) of t.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from usncli.perturbing import AffineImage

ROUNDING = 2.0**-50
"""Relative widening of a piece, so that rounding its centre and radius never loses one of its ends."""


SHARED_ERRORS = 8
"""Most clipping errors that the lines of an image keep apart."""


class Lines(NamedTuple):
    """Values between two lines in t: ``lower_slope . t + lower <= value <= upper_slope . t + upper``.

    Beyond theta's own directions, t may have more: errors in [-1, 1] that several values share.

    Where both lines are parallel the two slopes are one tensor object, which halves the work.

    Attributes:
        lower_slope, upper_slope: ``(pieces, dimension, *shape)``.
        lower, upper: ``(pieces, *shape)``, the lines at the piece's centre, t = 0.
    """

    lower_slope: Tensor
    lower: Tensor
    upper_slope: Tensor
    upper: Tensor

    def minimum(self) -> Tensor:
        """Return the least value of the lower line over the piece, ``(pieces, *shape)``."""
        return self.lower - self.lower_slope.abs().sum(dim=1)

    def maximum(self) -> Tensor:
        """Return the greatest value of the upper line over the piece, ``(pieces, *shape)``."""
        return self.upper + self.upper_slope.abs().sum(dim=1)


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


def image_lines(image: AffineImage, boxes: Boxes, *, clip: bool) -> Lines:
    """Enclose one perturbed image over pieces of theta.

    Without clipping the two lines coincide with the image. With it, a pixel that crosses 0 or 1 within the piece gets
    the parallel lines of `clipped`.

    Args:
        image: the image as affine functions of theta; ``batch`` is 1, or one image a piece.
        boxes: the pieces.
        clip: whether the perturbed image is clipped to [0, 1].

    Returns:
        Lines of shape ``(channels, height, width)``, in the dtype of ``image``.
    """
    centres, radii = boxes.centres().to(image.offset), boxes.radii().to(image.offset)
    middle = image.offset + (image.directions * centres[:, :, None, None, None]).sum(dim=1)
    slope = image.directions * radii[:, :, None, None, None]
    lines = Lines(slope, middle, slope, middle)
    return clipped(lines) if clip else lines


def clipped(lines: Lines) -> Lines:
    """Enclose ``clip(z, 0, 1)`` for a z that is itself a line (both lines the same).

    With z in [l, u]: unchanged where 0 <= l and u <= 1, constant where u <= 0 or l >= 1. Where z crosses 0 only, the
    lines k z and k (z - l) with k = u / (u - l); where it crosses 1 only, 1 + k (z - 1) above and 1 + k (z - 1) less
    k (u - 1) below, with k = (1 - l) / (u - l); where it crosses both, k z below and 1 + k (z - 1) above, with
    k = min(1 / u, 1 / (1 - l)). All are the best parallel lines or, in the last case, valid ones.
    """
    low, high = lines.minimum(), lines.maximum()
    crosses_zero, crosses_one = (low < 0) & (high > 0), (low < 1) & (high > 1)
    inside = (low >= 0) & (high <= 1)
    width = torch.where(crosses_zero | crosses_one, high - low, torch.ones_like(low))
    zero, one = torch.zeros_like(low), torch.ones_like(low)
    slope = torch.where(inside, one, zero)
    slope = torch.where(crosses_zero & ~crosses_one, high / width, slope)
    slope = torch.where(crosses_one & ~crosses_zero, (1 - low) / width, slope)
    both = crosses_zero & crosses_one
    slope = torch.where(both, torch.minimum(1 / high.clamp(min=1), 1 / (1 - low).clamp(min=1)), slope)
    constant = torch.where((low >= 1) & ~inside, one, zero)
    lower = torch.where(crosses_one & ~crosses_zero, 1 - slope - slope * (high - 1), constant)
    upper = torch.where(crosses_zero & ~crosses_one, -slope * low, constant)
    upper = torch.where(crosses_one, 1 - slope, upper)
    new_slope = slope.unsqueeze(1) * lines.lower_slope
    return _with_shared_errors(
        Lines(new_slope, slope * lines.lower + lower, new_slope, slope * lines.upper + upper), lines
    )


def _with_shared_errors(clipped_lines: Lines, unclipped: Lines) -> Lines:
    """Give the clipping error of pixels that move alike a direction of its own, in place of one error a pixel.

    In an image of 8 bits many pixels have the same value, cross 0 or 1 at the same theta, and are clipped by the same
    curve: they share one error, which then cancels in later layers as one error does. A piece in which more than
    `SHARED_ERRORS` different values cross keeps an error a pixel.
    """
    half = (clipped_lines.upper - clipped_lines.lower) / 2
    pieces = len(half)
    curves = torch.cat([unclipped.lower.unsqueeze(1), unclipped.lower_slope], dim=1).flatten(2)
    flat, directions = half.flatten(1), []
    for piece in range(pieces):
        crossing = (flat[piece] != 0).nonzero().squeeze(1)
        _, group = torch.unique(curves[piece][:, crossing], dim=1, return_inverse=True)
        count = int(group.max()) + 1 if len(group) else 0
        shared = flat.new_zeros(count if count <= SHARED_ERRORS else 0, flat.shape[1])
        if len(shared):
            shared[group, crossing] = flat[piece][crossing]
        directions.append(shared)
    most = max(len(shared) for shared in directions)
    if not most:
        return clipped_lines
    extra = flat.new_zeros(pieces, most, flat.shape[1])
    for piece, shared in enumerate(directions):
        extra[piece, : len(shared)] = shared
    moved = extra.sum(dim=1).view_as(half)
    slopes = torch.cat([clipped_lines.lower_slope, extra.view(pieces, most, *half.shape[1:])], dim=1)
    return Lines(slopes, clipped_lines.lower + moved, slopes, clipped_lines.upper - moved)


def scaled(lines: Lines, factor: Tensor, shift: Tensor) -> Lines:
    """Return the lines of ``factor * value + shift``.

    Args:
        lines: of shape ``(channels, height, width)``.
        factor: above 0, broadcastable to ``(1, channels, height, width)``.
        shift: likewise, of any sign.
    """
    lower_slope = factor.unsqueeze(1) * lines.lower_slope
    same = lines.upper_slope is lines.lower_slope
    upper_slope = lower_slope if same else factor.unsqueeze(1) * lines.upper_slope
    return Lines(lower_slope, factor * lines.lower + shift, upper_slope, factor * lines.upper + shift)
