"""Lines of an image clipped to [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor

from usncli.perturbing.lines import UNIT, Lines, sum_of_absolutes

SHARED_ERRORS = 8
"""Most clipping errors that the lines of an image keep apart."""
SHARED_ABOVE = 2.0**-40
"""Clipping errors below this are as good as rounding: not worth a direction."""


def clipped(slope: Tensor, middle: Tensor, error: Tensor) -> Lines:
    """Enclose ``clip(z, 0, 1)`` for a z that lies within ``error`` of the line ``slope . t + middle``.

    Pixels that leave [0, 1] within the piece get the lines of `parallel`, and those that move alike share their error;
    the others, most pixels of a small piece, stay as they are. As clip is 1-Lipschitz, ``error`` widens all alike.

    Rounding, with u = 2^-53 and m the greatest |z| on the line: its ends err by 3 u m, each value that `parallel`
    compares by 2 u (1 + m), the product of factor and slope by u m, and sums of offsets, shared errors and widening by
    6 u (1 + 2 m). We add 32 u (1 + m).

    Args:
        slope: ``(pieces, dimension, *shape)``, float64.
        middle: ``(pieces, *shape)``.
        error: likewise, 0 or above.
    """
    line = middle.flatten(1)
    reach = sum_of_absolutes(slope).flatten(1)
    low, high = line - reach, line + reach
    where = ((low < 0) | (high > 1)).nonzero(as_tuple=True)
    factor, least, greatest = parallel(low[where], high[where])
    curves = torch.stack([line[where], *(part.flatten(1)[where] for part in slope.unbind(1))])
    shared, alone = _shared_errors(curves, (greatest - least) / 2, where, line)

    radius = reach.add_(line.abs()).add_(1).mul_(32 * UNIT).add_(error.flatten(1))
    radius[where] += alone
    centre = line.index_put(where, factor * curves[0] + (greatest + least) / 2)
    slopes = torch.cat([slope.flatten(2), shared], dim=1)
    for index, curve in enumerate(curves[1:]):
        slopes[:, index][where] = factor * curve
    slopes = slopes.view(*slopes.shape[:2], *middle.shape[1:])
    return Lines(slopes, (centre - radius).view_as(middle), slopes, centre.add_(radius).view_as(middle))


def parallel(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return k, a and b of the closest parallel lines around clip(z, 0, 1): k z + a below and k z + b above.

    Let z run over [l, u]. For any k the function clip(z) - k z is piecewise linear with corners at 0 and 1, so its
    extremes are among its values at l, u, and 0 and 1 where these lie between: they are a and b. The k in [0, 1] that
    brings them closest is, brought into [0, 1],

        k = min(u' / (u' - l), (1 - l') / (u - l')), with l' = max(l, 0) and u' = min(u, 1):

    the chord's slope where z crosses 0 or 1, the lesser of 1 / u and 1 / (1 - l) where it crosses both, 1 where it
    stays between and 0 where it stays outside.

    Args:
        low: least z, of any shape.
        high: greatest z.
    """
    lowest, highest = low.clamp(min=0), high.clamp(max=1)
    factor = torch.minimum(highest / (highest - low), (1 - lowest) / (high - lowest))
    # Where z is constant at 0 or 1 both are 0 / 0, and any factor serves.
    factor = factor.nan_to_num(nan=1.0).clamp(0, 1)
    zero, one = torch.zeros_like(low), torch.ones_like(low)
    corners = torch.stack([low, zero.clamp(low, high), one.clamp(low, high), high])
    rest = corners.clamp(0, 1) - factor * corners
    return factor, rest.amin(dim=0), rest.amax(dim=0)


def _shared_errors(curves: Tensor, half: Tensor, where: tuple[Tensor, ...], like: Tensor) -> tuple[Tensor, Tensor]:
    """Give the clipping errors of pixels that move alike a direction of their own.

    In an image of 8 bits many pixels have the same value, cross 0 or 1 at the same theta, and are clipped by the same
    curve: they share one error, which then cancels in later layers as one error does. A piece in which more than
    `SHARED_ERRORS` different curves cross keeps an error a pixel.

    Args:
        curves: value at the centre and slopes of the crossing pixels of all pieces, ``(1 + dimension, crossing)``.
        half: their errors, ``(crossing,)``.
        where: their pieces and pixels.
        like: ``(pieces, pixels)``.

    Returns:
        The directions, ``(pieces, errors, pixels)``, and the errors that stay with each pixel, ``(crossing,)``.
    """
    chosen = (half > SHARED_ABOVE).nonzero().squeeze(1)
    for key in (*curves, where[0]):
        chosen = chosen[key[chosen].argsort(stable=True)]
    piece, pixel = where[0][chosen], where[1][chosen]
    ordered = curves[:, chosen]
    new_piece = piece.diff(prepend=piece.new_full((1,), -1)) != 0
    new_curve = new_piece | (ordered.diff(dim=1, prepend=ordered[:, :1]) != 0).any(dim=0)
    number = new_curve.long().cumsum(0)
    counts = piece.new_zeros(len(like)).index_add(0, piece, new_curve.long())
    before = counts.cumsum(0) - counts
    direction = number - 1 - before[piece]
    sharing = counts[piece] <= SHARED_ERRORS
    most = int(direction[sharing].max()) + 1 if bool(sharing.any()) else 0
    shared = like.new_zeros(len(like), most, like.shape[1])
    shared[piece[sharing], direction[sharing], pixel[sharing]] = half[chosen[sharing]]
    return shared, half.index_fill(0, chosen[sharing], 0.0)
