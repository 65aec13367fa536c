"""What is known of a value over pieces of theta: a line in t, give or take an error known in two norms."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from usncli.bounding.affine.rounding import CENTRE, SUMMED, unit_roundoff
from usncli.perturbing import Lines


class Enclosure(NamedTuple):
    """Values ``centre + sum_d slopes[:, d] t_d + e`` for t in [-1, 1]^D and an error e of each theta's own.

    Of e two things are known: no entry is larger than its radius, and the whole is no longer than ``length``. Radii
    grow by |W| in a layer, and tell where an error can be; the length grows by W's largest singular value, which is far
    less where layers are wide. Each bounds the other.

    The first directions are theta's; others are errors that several values share. A value that lacks the last
    directions has slope 0 there.

    Attributes:
        centre: ``(pieces, *shape)``.
        slopes: ``(pieces, D, *shape)``.
        radius: ``(pieces, *shape)``, at least 0.
        length: ``(pieces,)``, float64, at least the 2-norm of e; None where no more is known than the radii say.
    """

    centre: Tensor
    slopes: Tensor
    radius: Tensor
    length: Tensor | None = None

    def error_length(self) -> Tensor:
        """Return at least the error's 2-norm, ``(pieces,)``."""
        by_radius = length_of(self.radius)
        return by_radius if self.length is None else torch.minimum(by_radius, self.length)

    def spread(self) -> Tensor:
        """Return how far values may be from the centre, ``(pieces, *shape)``; its own rounding is not covered."""
        return self.slopes.abs().sum(dim=1).add_(self.radius)

    def middle(self) -> tuple[Tensor, Tensor]:
        """Return the centre in the radius' precision, and at least how far values may be from that."""
        centre = self.centre.to(self.radius.dtype)
        spread = self.spread()
        units = (self.slopes.shape[1] + 8) * unit_roundoff(centre.dtype)
        return centre, spread.add_(torch.add(centre.abs(), spread), alpha=units)

    def interval(self) -> tuple[Tensor, Tensor]:
        """Return at most the least and at least the greatest value, ``(pieces, *shape)``, in the radius' precision."""
        centre, spread = self.middle()
        return centre - spread, centre + spread

    def largest(self) -> Tensor:
        """Return at least the largest absolute value, ``(pieces, *shape)``."""
        centre, spread = self.middle()
        return spread.add_(centre.abs()).mul_(1 + 4 * unit_roundoff(centre.dtype))

    def magnitude(self) -> Tensor:
        """Return at least the largest absolute value of each piece, ``(pieces,)``, float64."""
        centre, spread = self.middle()
        return flattened(spread.add_(centre.abs()), 1).amax(dim=1).double() * (1 + 1e-6)

    def take(self, pieces: Tensor) -> Enclosure:
        """Return some pieces."""
        length = None if self.length is None else self.length[pieces]
        return Enclosure(self.centre[pieces], self.slopes[pieces], self.radius[pieces], length)


def length_of(values: Tensor) -> Tensor:
    """Return at least the 2-norm of each piece's values ``(pieces, *shape)``: ``(pieces,)``, float64."""
    lengths: Tensor = torch.linalg.vector_norm(flattened(values, 1), dim=1, dtype=torch.float64)
    return lengths * (1 + SUMMED)


def from_lines(lines: Lines, working: torch.dtype, most: int | None = None) -> Enclosure:
    """Return the enclosure of what lies between two lines; where they are not parallel the difference is radius.

    Args:
        lines: in float64.
        working: precision of slopes and radius.
        most: directions to keep, the first and the steepest of the others; the rest is added to the radius. None keeps
            all.
    """
    centre = (lines.lower + lines.upper) / 2
    radius = torch.maximum(lines.upper - centre, centre - lines.lower)
    exact = lines.lower_slope
    if lines.lower_slope is not lines.upper_slope:
        exact = (lines.lower_slope + lines.upper_slope) / 2
        apart = torch.maximum((lines.upper_slope - exact).abs(), (exact - lines.lower_slope).abs())
        radius = radius + apart.sum(dim=1)
    if most is not None and exact.shape[1] > most:
        exact, folded = _steepest(exact, most)
        radius = radius + folded
    slopes = exact.to(working)
    lost = (slopes.double() - exact).abs().sum(dim=1) + 16 * CENTRE * (centre.abs() + exact.abs().sum(dim=1))
    return Enclosure(centre, slopes, ((radius + lost) * (1 + 4 * unit_roundoff(working))).to(working))


def _steepest(slopes: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Return slopes along the first direction and the steepest others, and the sum of the rest's absolute slopes."""
    steepness = flattened(slopes.abs(), 2).sum(dim=2).amax(dim=0)
    steepness[0] = torch.inf
    order = steepness.argsort(descending=True, stable=True)
    return slopes[:, order[:most].sort().values], slopes[:, order[most:]].abs().sum(dim=1) * (1 + 64 * CENTRE)


def with_directions(slopes: Tensor, directions: int) -> Tensor:
    """Return slopes ``(pieces, D, ...)`` with zeros for directions that they lack."""
    missing = directions - slopes.shape[1]
    return functional.pad(slopes, [0, 0] * (slopes.dim() - 2) + [0, missing]) if missing else slopes


def aligned(*slopes: Tensor) -> list[Tensor]:
    """Return slopes ``(pieces, D, ...)`` with as many directions as any of them has."""
    most = max(slope.shape[1] for slope in slopes)
    return [with_directions(slope, most) for slope in slopes]


def flattened(values: Tensor, axes: int) -> Tensor:
    """Return the values with all but the first axes flattened into one, also where there are no others."""
    return values.reshape(*values.shape[:axes], -1)
