"""Relaxations of functions of straight pieces: leaky ReLUs, absolute values, clamps, hardsigmoid.

f(x) - k x is greatest and least at the interval's ends and at the kinks inside it, whatever k is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from usncli.bounding.affine.activations.relaxation import ROUNDOFF, Relaxation, enclosing, largest

_UNITS = 16 * ROUNDOFF
"""Covers evaluating f(x) - k x at ends and kinks, two or three operations each, and `enclosing`."""


def leaky_relu(lower: Tensor, upper: Tensor, slope: float | Tensor) -> Relaxation:
    """Relax x above 0, slope x below, for a slope of any sign.

    Over an interval that crosses 0, parallel to the chord: f(x) - k x is 0 at the kink and the same at both ends. That
    is the best there is, since f is convex or concave. On either side of 0 the function is a line itself.
    """
    slope = slope.to(lower) if isinstance(slope, Tensor) else lower.new_tensor(slope)
    settled = torch.where(lower >= 0, torch.ones_like(lower), slope)
    # What is not a number is on neither side.
    crosses = ~((lower >= 0) | (upper <= 0))
    chord = (upper - slope * lower) / torch.where(crosses, upper - lower, torch.ones_like(lower))
    line = torch.where(crosses, chord, settled)
    zero = torch.zeros_like(lower)
    ends = torch.where(crosses, upper - line * upper, zero), torch.where(crosses, slope * lower - line * lower, zero)
    least, greatest = torch.minimum(*ends).clamp(max=0), torch.maximum(*ends).clamp(min=0)
    sizes = torch.where(crosses, largest(lower, upper) * (1 + line.abs() + slope.abs()), zero)
    return enclosing(line, least, greatest, _UNITS * sizes)


def relu(lower: Tensor, upper: Tensor) -> Relaxation:
    """Relax max(x, 0): a leaky ReLU of slope 0."""
    return leaky_relu(lower, upper, 0.0)


def absolute(lower: Tensor, upper: Tensor) -> Relaxation:
    """Relax the absolute value: a leaky ReLU of slope -1."""
    return leaky_relu(lower, upper, -1.0)


def clamp(lower: Tensor, upper: Tensor, lowest: float, highest: float) -> Relaxation:
    """Relax min(max(x, lowest), highest).

    Over an interval that crosses one end, parallel to the chord. Over one that crosses both, with the slope
    ``(highest - lowest) / max(upper - lowest, highest - lower)``: then f(x) - k x takes its least value and its
    greatest alternately, three times or more, so that no other slope does better.
    """
    flat = (upper <= lowest) | (lower >= highest)
    settled = flat | ((lower >= lowest) & (upper <= highest))
    below, above = torch.maximum(lower, lower.new_tensor(lowest)), torch.minimum(upper, upper.new_tensor(highest))
    # From the end that is crossed, or from the farther one, to the kink.
    run = torch.maximum(upper - below, above - lower)
    slope = torch.where(flat, 0.0, torch.where(settled, 1.0, (above - below) / torch.where(settled, 1.0, run)))
    points = [point.clamp(lowest, highest) - slope * point for point in (lower, upper)]
    kinks = [kink - slope * kink for kink in (below, above)]
    values = torch.stack([*points, *[torch.where(flat, points[0], kink) for kink in kinks]])
    sizes = largest(lower, upper) + largest(below, above)
    slack = torch.where(settled, 0.0, _UNITS * sizes)
    return enclosing(slope, values.amin(dim=0), values.amax(dim=0), slack)


def hardsigmoid(lower: Tensor, upper: Tensor) -> Relaxation:
    """Relax min(max(x + 3, 0), 6) / 6: a clamp to [-3, 3], plus 3, by 6."""
    clamped = clamp(lower, upper, -3.0, 3.0)
    slope, shift = clamped.slope / 6, (clamped.shift + 3) / 6
    slack = _UNITS * (slope * largest(lower, upper) + 1)
    # Where the clamp is constant, so is this: 0 or 1, exactly.
    constant = (upper <= -3) | (lower >= 3)
    return Relaxation(slope, shift, clamped.radius / 6 + torch.where(constant, 0.0, slack))
