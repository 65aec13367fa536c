"""Lower and upper lines over a piece of theta.

A piece is a box of theta; t in [-1, 1]^d runs over it, from its lower to its upper corner. Everything that is bounded
over the piece lies between two lines (affine functions) of t.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

UNIT = 2.0**-53
"""Unit roundoff of float64: what one operation may err by, relative to its result."""


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

    def take(self, pieces: Tensor) -> Lines:
        """Return the lines of some pieces, keeping shared tensors shared."""
        lower_slope, lower = self.lower_slope[pieces], self.lower[pieces]
        upper_slope = lower_slope if self.upper_slope is self.lower_slope else self.upper_slope[pieces]
        upper = lower if self.upper is self.lower else self.upper[pieces]
        return Lines(lower_slope, lower, upper_slope, upper)

    def minimum(self) -> Tensor:
        """Return the least value of the lower line over the piece, ``(pieces, *shape)``."""
        return self.lower - sum_of_absolutes(self.lower_slope)

    def maximum(self) -> Tensor:
        """Return the greatest value of the upper line over the piece, ``(pieces, *shape)``."""
        return self.upper + sum_of_absolutes(self.upper_slope)


def sum_of_absolutes(slope: Tensor) -> Tensor:
    """Return how far a line ``(pieces, dimension, *shape)`` moves from its centre, ``(pieces, *shape)``.

    Term by term: these are the largest tensors of an enclosure, and new memory costs more than the sums.
    """
    total = slope[:, 0].abs()
    for part in slope.unbind(1)[1:]:
        total += part.abs()
    return total


def rounded(lines: Lines, dtype: torch.dtype) -> Lines:
    """Return parallel float64 lines in a less precise dtype, moved apart by what rounding may change.

    With unit roundoff u of ``dtype``, rounding moves a slope s by u |s| and an offset by u of itself, numbers below the
    least normal one by less than that one. So a line moves by u (|offset| + |s_1| + ...); we add twice that.

    Args:
        lines: both of the same slope.
        dtype: float64 gives the lines as they are.
    """
    if dtype == lines.lower.dtype:
        return lines
    precision = torch.finfo(dtype)
    steepness = sum_of_absolutes(lines.lower_slope)
    below, above = (
        precision.eps * (offset.abs() + steepness) + precision.tiny for offset in (lines.lower, lines.upper)
    )
    slope = lines.lower_slope.to(dtype)
    return Lines(slope, (lines.lower - below).to(dtype), slope, (lines.upper + above).to(dtype))


def apart(lines: Lines, amount: Tensor) -> Lines:
    """Return the lines moved apart by an amount on either side, broadcastable to ``(pieces, *shape)``."""
    return lines._replace(lower=lines.lower - amount, upper=lines.upper + amount)


def normalised(lines: Lines, mean: Tensor, std: Tensor) -> Lines:
    """Return lines of ``(value - mean) / std``, rounding included.

    With unit roundoff u, an offset errs by 2 u (|offset| + |mean|) / std, a slope by u of itself; we add twice that.

    Args:
        lines: of shape ``(channels, height, width)``.
        mean: ``(1, channels, 1, 1)``, taken as exact.
        std: likewise, above 0.
    """
    lower_slope = lines.lower_slope / std.unsqueeze(1)
    same = lines.upper_slope is lines.lower_slope
    upper_slope = lower_slope if same else lines.upper_slope / std.unsqueeze(1)
    precision = torch.finfo(lines.lower.dtype)

    def error(offset: Tensor, slope: Tensor) -> Tensor:
        return 2 * precision.eps * ((offset.abs() + mean.abs()) / std + sum_of_absolutes(slope)) + precision.tiny

    return Lines(
        lower_slope,
        (lines.lower - mean) / std - error(lines.lower, lower_slope),
        upper_slope,
        (lines.upper - mean) / std + error(lines.upper, upper_slope),
    )
