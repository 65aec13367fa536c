"""Relaxations of functions of quadratic pieces: the square, and hardswish.

f(x) - k x is greatest and least at the interval's ends, at the kinks inside it, and where a piece's derivative is k.
Finding that place with rounding does no harm: next to it the function is flat.
"""

from __future__ import annotations

import torch
from torch import Tensor

from usncli.bounding.affine.activations.relaxation import ROUNDOFF, Relaxation, enclosing, largest

_UNITS = 32 * ROUNDOFF
"""Covers evaluating f(x) - k x at ends, kinks and stationary places, and `enclosing`."""
_FLAT = 2.0**-95
"""Covers misplacing a stationary place of hardswish, 3 k - 3/2, by 16 u: f'' / 2 = 1/6 of that squared."""


def square(lower: Tensor, upper: Tensor) -> Relaxation:
    """Relax x^2, parallel to the chord, whose slope is l + u: it is convex.

    With any slope k, x^2 - k x is greatest at an end, and least, -k^2 / 4, at k / 2, which lies in the interval or a
    rounding beside it.
    """
    slope = lower + upper
    ends = torch.maximum(lower * (lower - slope), upper * (upper - slope))
    sizes = largest(lower, upper).square()
    return enclosing(slope, -(slope / 2).square(), ends, _UNITS * sizes)


def hardswish(lower: Tensor, upper: Tensor) -> Relaxation:
    """Relax 0 below -3, x above 3, x (x + 3) / 6 between, parallel to the chord."""
    inside, flat, unit = (lower >= -3) & (upper <= 3), upper <= -3, lower >= 3
    exact = inside | flat | unit
    chord = (_hardswish(upper) - _hardswish(lower)) / torch.where(exact, 1.0, upper - lower)
    # Between the kinks the slope needs no difference of values, which a narrow interval would leave to rounding.
    slope = torch.where(inside, (lower + upper + 3) / 6, torch.where(exact, unit.to(chord), chord)).clamp(-0.5, 1.5)
    stationary = (3 * slope - 1.5).clamp(-3, 3)
    kinks = torch.full_like(slope, -3.0), torch.full_like(slope, 3.0)
    places = [lower, upper, *[place.maximum(lower).minimum(upper) for place in (*kinks, stationary)]]
    values = torch.stack([_hardswish(place) - slope * place for place in places])
    slack = _UNITS * largest(lower, upper) + _FLAT
    return enclosing(slope, values.amin(dim=0), values.amax(dim=0), torch.where(flat | unit, 0.0, slack))


def _hardswish(values: Tensor) -> Tensor:
    return values * ((values + 3) / 6).clamp(0, 1)
