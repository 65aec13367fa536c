"""Lower and upper lines over a piece of theta.

A piece is a box of theta; t in [-1, 1]^d runs over it, from its lower to its upper corner. Everything that is bounded
over the piece lies between two lines (affine functions) of t.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


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
