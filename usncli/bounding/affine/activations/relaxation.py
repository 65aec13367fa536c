"""What stands in for an elementwise function over an interval: a line, give or take a radius."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

ROUNDOFF = 2.0**-53
"""Unit roundoff of float64, in which relaxations are computed."""


class Relaxation(NamedTuple):
    """For every real x of the interval, f(x) lies within ``slope x + shift``, give or take ``radius``.

    It holds for these very numbers, f and the line taken in exact arithmetic. What is not a number proves nothing.

    Attributes:
        slope, shift, radius: of the interval's shape; the radius is at least 0.
    """

    slope: Tensor
    shift: Tensor
    radius: Tensor


def enclosing(slope: Tensor, least: Tensor, greatest: Tensor, slack: Tensor | float = 0.0) -> Relaxation:
    """Return the relaxation for f(x) - slope x in [least, greatest], give or take a slack for how these were found.

    Halving and comparing round off at most 4 u of the ends' absolute values, which the slack must cover unless the two
    ends are equal, as then nothing is rounded.
    """
    shift = (least + greatest) / 2
    return Relaxation(slope, shift, torch.maximum(greatest - shift, shift - least) + slack)


def largest(lower: Tensor, upper: Tensor) -> Tensor:
    """Return the largest absolute value of an interval."""
    return torch.maximum(lower.abs(), upper.abs())


def in_precision(relaxation: Relaxation, lower: Tensor, upper: Tensor, dtype: torch.dtype) -> Relaxation:
    """Round slope and radius to a lesser precision.

    The shift stays in float64 and moves so that the line's value in the middle of the interval stays: what rounding the
    slope loses is then a share of the interval's width, and vanishes with it.
    """
    if dtype == relaxation.slope.dtype:
        return relaxation
    slope = relaxation.slope.to(dtype)
    turned = relaxation.slope - slope
    shift = relaxation.shift + turned * ((lower + upper) / 2)
    # The difference of slopes is exact up to a relative 2^-52; 2^-50 of all magnitudes covers the shift's own rounding.
    rounding = 2.0**-50 * (relaxation.shift.abs() + (relaxation.slope.abs() + slope.abs()) * largest(lower, upper))
    radius = (relaxation.radius + turned.abs() * ((upper - lower) / 2) + rounding) * (1 + 2.0**-40)
    rounded = radius.to(dtype)
    above = torch.nextafter(rounded, torch.full_like(rounded, torch.inf))
    return Relaxation(slope, shift, torch.where(rounded.double() < radius, above, rounded))
