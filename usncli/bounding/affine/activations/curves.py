"""Relaxations of smooth functions, from their values, their derivatives and the points where their curvature turns.

Over [l, u] a slope k is chosen and f(x) - k x =: g(x) bounded. Between two neighbouring turning points f is convex or
concave, and g with it. Where g is convex its greatest value is at an end, and every tangent lies below it; where it is
concave, the same upside down. No constant of the function but its turning points enters.

- Where no turn lies within the interval, k is the derivative at the middle, so that the tangent there is level: a few
  values, and for a narrow interval as good as can be. It is kept where the two ends hardly differ, `LEVEL`.
- Else k is the slope of the chord. On each stretch of one curvature the place where g' = 0 is searched by bisection,
  which leaves a bracket [p, q] with g' <= 0 before p and g' >= 0 after q for a convex g; then

      g >= max(g(p) + min(0, g'(p) (q - p)), g(q) - max(0, g'(q) (q - p))).

  After `HALVINGS` steps that is within (width / 2^HALVINGS)^2 max|f''| of the truth.

Rounding. A function's values are computed with a relative error below `VALUE_UNITS` u and an absolute one of
`FLOOR`, its derivatives with an error below ``DERIVATIVE_UNITS u (1 + |f'|)``, if exp, tanh, log1p and erfc of the
library are within 4 units in the last place: sums and products of a few of them, and an exponent's own rounding, which
the result feels as the square of x where it is above the floor. A wrong sign of g' in the bisection costs at most the
derivative's error times the width, and so does a turning point that is a rounding away from the true one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from usncli.bounding.affine.activations.relaxation import ROUNDOFF, Relaxation, enclosing, largest

VALUE_UNITS = 64
DERIVATIVE_UNITS = 16
FLOOR = 2.0**-73
HALVINGS = 6
NARROW = 2.0**-36
"""Relative width below which the slope is the derivative at the middle: a difference of values would be rounding."""
LEVEL = 0.1
"""Difference of g at both ends, as a share of its range, up to which the tangent at the middle is good enough."""


@dataclass(frozen=True)
class Curve:
    """A smooth function.

    Attributes:
        value, derivative: of float64 tensors.
        turns: where it changes between convex and concave, ascending; a kink may be one of them.
        convex_first: whether it is convex up to the first turn.
    """

    value: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor]
    turns: tuple[float, ...]
    convex_first: bool = False

    def relax(self, lower: Tensor, upper: Tensor) -> Relaxation:
        """Return its relaxation over [lower, upper], float64."""
        relaxation, good = self._by_tangent(lower, upper)
        rest = ~good
        if bool(rest.any()):
            for part, better in zip(relaxation, self._by_bisection(lower[rest], upper[rest]), strict=True):
                part[rest] = better
        return relaxation

    def _by_tangent(self, lower: Tensor, upper: Tensor) -> tuple[Relaxation, Tensor]:
        """Return the relaxation with the slope at the middle, and where it is sound and good enough."""
        middle = lower + (upper - lower) / 2
        slope, at_middle = self.derivative(middle), self.value(middle)
        line = at_middle - slope * middle
        by_lower, by_upper = self.value(lower) - slope * lower, self.value(upper) - slope * upper
        least = torch.minimum(torch.minimum(by_lower, by_upper), line)
        greatest = torch.maximum(torch.maximum(by_lower, by_upper), line)
        slack = self._slack(least, greatest, slope, lower, upper)
        good = (by_lower - by_upper).abs() <= LEVEL * (greatest - least) + slack
        for turn in self.turns:
            good &= (lower >= turn) | (upper <= turn)
        return enclosing(slope, least, greatest, slack), good

    def _by_bisection(self, lower: Tensor, upper: Tensor) -> Relaxation:
        """Return the relaxation with the slope of the chord."""
        slope = self._chord(lower, upper)
        least = greatest = self.value(lower) - slope * lower
        start, convex = lower, self.convex_first
        for turn in (*self.turns, torch.inf):
            end = torch.clamp(upper, max=turn).maximum(lower)
            for bound in self._extremes(start, end, slope, convex):
                least, greatest = torch.minimum(least, bound), torch.maximum(greatest, bound)
            start, convex = end, not convex
        return enclosing(slope, least, greatest, self._slack(least, greatest, slope, lower, upper))

    def _slack(self, least: Tensor, greatest: Tensor, slope: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
        """Return what covers rounding: of values, and of derivatives over the interval's width."""
        sizes = torch.maximum(least.abs(), greatest.abs()) + slope.abs() * largest(lower, upper)
        tilt = (1 + slope.abs()) * (upper - lower)
        # Twice the units: half for the operations that follow.
        return ROUNDOFF * (2 * VALUE_UNITS * sizes + 2 * DERIVATIVE_UNITS * tilt) + FLOOR

    def _chord(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Return the chord's slope, or the derivative at the middle."""
        middle, width = lower + (upper - lower) / 2, upper - lower
        narrow = width <= NARROW * (1 + middle.abs())
        rise = self.value(upper) - self.value(lower)
        return torch.where(narrow, self.derivative(middle), rise / torch.where(narrow, 1.0, width))

    def _extremes(self, start: Tensor, end: Tensor, slope: Tensor, convex: bool) -> tuple[Tensor, Tensor]:
        """Return g at the far end of a stretch of one curvature, and its bound on the side of that curvature."""
        sign = 1.0 if convex else -1.0
        left, right = start, end
        for _ in range(HALVINGS):
            middle = left + (right - left) / 2
            falls = sign * (self.derivative(middle) - slope) < 0
            left, right = torch.where(falls, middle, left), torch.where(falls, right, middle)
        width = right - left
        by_left = sign * (self.value(left) - slope * left) + (sign * (self.derivative(left) - slope) * width).clamp(
            max=0
        )
        by_right = sign * (self.value(right) - slope * right) - (sign * (self.derivative(right) - slope) * width).clamp(
            min=0
        )
        return self.value(end) - slope * end, sign * torch.maximum(by_left, by_right)
