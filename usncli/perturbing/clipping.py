"""Lines of an image clipped to [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor

from usncli.perturbing.lines import UNIT, Lines

SHARED_ERRORS = 8
"""Most clipping errors that the lines of an image keep apart."""
SHARED_ABOVE = 2.0**-40
"""Clipping errors below this are as good as rounding: not worth a direction."""


def clipped(slope: Tensor, middle: Tensor, error: Tensor) -> Lines:
    """Enclose ``clip(z, 0, 1)`` for a z that lies within ``error`` of the line ``slope . t + middle``.

    Let the line run over [l, u]. For any k in [0, 1] the function clip(z) - k z is piecewise linear with corners at 0
    and 1, so its extremes over [l, u] are among its values at l, u, and 0 and 1 where these lie between: clip(z) lies
    between k z plus the least and k z plus the greatest of them. The k that brings these closest is

        k = min(u' / (u' - l), (1 - l') / (u - l')), brought into [0, 1], with l' = max(l, 0) and u' = min(u, 1):

    the chord's slope where z crosses 0 or 1, the lesser of 1 / u and 1 / (1 - l) where it crosses both, 1 where it
    stays between and 0 where it stays outside. As clip is 1-Lipschitz, ``error`` widens the lines as it is.

    Rounding, with u = 2^-53 and m = max(|l|, |u|): l, u err by 3 u m, each of the four values by 2 u (1 + m), the
    product k . slope by u m, and sums of offsets, shared errors and widening by 6 u (1 + 2 m). We add 32 u (1 + m).

    Args:
        slope: ``(pieces, dimension, *shape)``, float64.
        middle: ``(pieces, *shape)``.
        error: likewise, 0 or above.
    """
    reach = slope.abs().sum(dim=1)
    low, high = middle - reach, middle + reach
    lowest, highest = low.clamp(min=0), high.clamp(max=1)
    factor = torch.minimum(highest / (highest - low), (1 - lowest) / (high - lowest))
    # Where z is constant at 0 or 1 both are 0 / 0, and any factor serves.
    factor = factor.nan_to_num(nan=1.0).clamp(0, 1)
    corners = torch.stack([point.clamp(0, 1) - factor * point for point in _corners(low, high)])
    least, greatest = corners.amin(dim=0), corners.amax(dim=0)
    half = (greatest - least) / 2
    centre = factor * middle + (greatest + least) / 2
    own = _shared_errors(slope, middle, half)
    radius = half - own.sum(dim=1) + error + 32 * UNIT * (1 + torch.maximum(low.abs(), high.abs()))
    slopes = torch.cat([factor.unsqueeze(1) * slope, own], dim=1)
    return Lines(slopes, centre - radius, slopes, centre + radius)


def _corners(low: Tensor, high: Tensor) -> tuple[Tensor, ...]:
    """Return both ends, and 0 and 1 or the ends nearest to them."""
    zero, one = torch.zeros_like(low), torch.ones_like(low)
    return low, zero.clamp(low, high), one.clamp(low, high), high


def _shared_errors(slope: Tensor, middle: Tensor, half: Tensor) -> Tensor:
    """Return directions for the clipping errors of pixels that move alike, ``(pieces, errors, *shape)``.

    In an image of 8 bits many pixels have the same value, cross 0 or 1 at the same theta, and are clipped by the same
    curve: they share one error, which then cancels in later layers as one error does. A piece in which more than
    `SHARED_ERRORS` different values cross keeps an error a pixel, and gets zeros here.

    Args:
        slope: of the lines before clipping.
        middle: their value at t = 0.
        half: half the distance between the lines after it, ``(pieces, *shape)``.
    """
    flat = half.flatten(1)
    curves = torch.cat([middle.unsqueeze(1), slope], dim=1).flatten(2)
    remaining = flat > SHARED_ABOVE
    groups: list[Tensor] = []
    while len(groups) < SHARED_ERRORS and bool(remaining.any()):
        first = remaining.to(torch.int8).argmax(dim=1).view(-1, 1, 1)
        alike = (curves == curves.gather(2, first.expand(-1, curves.shape[1], 1))).all(dim=1) & remaining
        groups.append(torch.where(alike, flat, 0))
        remaining = remaining & ~alike
    if not groups:
        return half.unsqueeze(1)[:, :0]
    shared = torch.stack(groups, dim=1) * ~remaining.any(dim=1).view(-1, 1, 1)
    return shared.view(len(half), -1, *half.shape[1:])
