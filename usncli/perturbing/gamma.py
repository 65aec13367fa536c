"""Gamma: each pixel to a power."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from usncli.perturbing.boxes import Boxes
from usncli.perturbing.lines import UNIT, Lines
from usncli.perturbing.perturbation import Perturbation

ROUNDING = 256 * UNIT
"""What lines of gamma are widened by; `Gamma.lines` derives it."""


@dataclass(frozen=True)
class Gamma(Perturbation):
    """x^g; the identity is g = 1, and 0 and 1 stay what they are.

    The images are in [0, 1], and so are their powers: clipping changes nothing.
    """

    @property
    def parameters(self) -> tuple[str, ...]:
        """One parameter, ``gamma``."""
        return ("gamma",)

    @property
    def identity(self) -> tuple[float, ...]:
        """1."""
        return (1.0,)

    @property
    def limits(self) -> tuple[tuple[float, float], ...]:
        """From 0.1 to 10."""
        return ((0.1, 10.0),)

    def apply(self, images: Tensor, theta: Tensor) -> Tensor:
        """Return ``x * exp((g - 1) ln x)``, which is exactly x at g = 1, and 0 for x = 0; see `Perturbation.apply`.

        The logarithm, taken once for all thetas of an image, is kept finite by the least normal number; a pixel
        below that, which no picture holds, comes out below its power.
        """
        shift = (theta - 1.0).to(images)[..., 0, None, None, None]
        logarithm = images.clamp(min=torch.finfo(images.dtype).tiny).log()
        return images * (shift * logarithm).exp()

    def units(self, lower: Sequence[float], upper: Sequence[float]) -> float:
        """Return the units of ``x exp((g - 1) ln x)``, or of a power function within 4 units in the last place.

        log and exp are trusted to 4 units in the last place, 8 u. The exponent ``z = (g - 1) ln x`` errs by 9 u of
        itself and by ``(g + |g - 1|) u |ln x|`` for rounding and subtracting, and ``x^g |ln x|`` is at most
        ``1 / (e g)``; exp and the product add 9 u of a result of at most 1.
        """
        (least,), (most,) = lower, upper
        away = max(abs(least - 1), abs(most - 1))
        return 9 + (10 * away + most) / (math.e * least)

    def lines(self, image: Tensor, boxes: Boxes) -> Lines:
        """Enclose x^g = exp(-L g) with L = -ln x; see `Perturbation.lines`.

        With g = c + r t and y = r L a pixel is A exp(-y t), where A = exp(-L c). Pixels of y <= 1 get the line and the
        one shared error of `_series`, the others the parallel lines of `_chord`. A 0 stays 0 without any error.

        Rounding, with u = 2^-53; log, exp and their results are trusted to 4 units in the last place, 8 u. The computed
        L has that error, which moves x^g by at most 8 u z exp(-z) <= 3 u with z = L g; for that L, y errs by u.
        Series: A errs by 12 u, y moves exp(-y t) by e u, and coefficients and their rest, of a size of at most e, by
        10 u e each: together at most 100 u. Chord: both ends err by 12 u, and the tangent's height, whose
        derivatives are stated there, by 60 u at most. We add 256 u. Pixels outside [0, 1] get NaN: nothing is proved.
        """
        inside = (image >= 0) & (image <= 1)
        logarithm = torch.where(inside, -image.clamp(min=torch.finfo(image.dtype).tiny).log(), torch.nan)
        # A logarithm of 0 keeps every power of a black pixel at 1 until it is put to 0.
        black = image == 0
        logarithm = logarithm.masked_fill(black, 0).expand(len(boxes.lower), -1, -1, -1)
        centres, radii = (part[:, :, None, None].expand_as(logarithm) for part in (boxes.centres(), boxes.radii()))
        parts = _series(logarithm, centres, radii)
        steep = (radii * logarithm > 1).nonzero(as_tuple=True)
        for part, chord in zip(parts, _chord(logarithm[steep], centres[steep], radii[steep]), strict=True):
            part[steep] = chord
        middle, slope, shared, radius = (part.masked_fill_(black, 0) for part in parts)
        radius += torch.where(black, 0.0, ROUNDING)
        slopes = torch.stack([slope, shared], dim=1)
        return Lines(slopes, middle - radius, slopes, middle + radius)


def _series(logarithm: Tensor, centres: Tensor, radii: Tensor) -> tuple[Tensor, ...]:
    """Enclose A exp(-y t) by its Chebyshev series, cut after the second degree.

    exp(-y t) = I_0(y) - 2 I_1(y) t + 2 I_2(y) T_2(t) - 2 I_3(y) T_3(t) + ..., with modified Bessel functions, each a
    power series of positive terms. T_2(t) = 2 t^2 - 1 lies in [-1, 1] and is the same for all pixels: one shared error,
    which leaves every pixel an error of its own of the third order only. Of the Bessel functions we take three terms;
    what is left out has, in the basis T_n(-t), no negative coefficient, so it is greatest at t = -1, where it is
    exp(y) less what was taken.

    Returns:
        Middle, slope, coefficient of the shared error, and radius; of use for y <= 1.
    """
    y = radii * logarithm
    quarter = y * y / 4
    middle = 1 + quarter * (1 + quarter / 4)
    slope = y * (1 + quarter / 2 * (1 + quarter / 6))
    shared = quarter * (1 + quarter / 3 * (1 + quarter / 8))
    rest = (y.exp() - (middle + slope + shared)).clamp(min=0)
    scale = (-logarithm * centres).exp()
    return scale * middle, -scale * slope, scale * shared, scale * rest


def _chord(logarithm: Tensor, centres: Tensor, radii: Tensor) -> tuple[Tensor, ...]:
    """Enclose A exp(-y t), which is convex, by its chord above and the tangent of the chord's slope below.

    With P at t = -1, Q at t = 1 and s = (P - Q) / 2, the chord is (P + Q) / 2 - s t. The function plus s t is least
    where the function is v = s / y; there it is v (1 - ln (v / A)) = v (1 - ln v - L c). By v this changes by
    -ln (v / A), at most y in size, so an error of e v in v by e s; and v |ln v| <= 1 / e, v L c <= 1 where y >= 1.

    Returns:
        Middle, slope, 0 for the shared error, and radius, for y > 1.
    """
    first, last = ((-logarithm * (centres + sign * radii)).exp() for sign in (-1, 1))
    slope = (first - last) / 2
    value = (slope / (radii * logarithm)).clamp(min=1e-300)
    tangent = value * (1 - value.log() - logarithm * centres)
    chord = (first + last) / 2
    return (chord + tangent) / 2, -slope, torch.zeros_like(slope), (chord - tangent) / 2
