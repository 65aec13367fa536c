"""Lines of an image clipped to [0, 1]."""

from __future__ import annotations

import torch

from usncli.perturbing.lines import Lines

SHARED_ERRORS = 8
"""Most clipping errors that the lines of an image keep apart."""


def clipped(lines: Lines) -> Lines:
    """Enclose ``clip(z, 0, 1)`` for a z that is itself a line (both lines the same).

    With z in [l, u]: unchanged where 0 <= l and u <= 1, constant where u <= 0 or l >= 1. Where z crosses 0 only, the
    lines k z and k (z - l) with k = u / (u - l); where it crosses 1 only, 1 + k (z - 1) above and 1 + k (z - 1) less
    k (u - 1) below, with k = (1 - l) / (u - l); where it crosses both, k z below and 1 + k (z - 1) above, with
    k = min(1 / u, 1 / (1 - l)). All are the best parallel lines or, in the last case, valid ones.
    """
    low, high = lines.minimum(), lines.maximum()
    crosses_zero, crosses_one = (low < 0) & (high > 0), (low < 1) & (high > 1)
    inside = (low >= 0) & (high <= 1)
    width = torch.where(crosses_zero | crosses_one, high - low, torch.ones_like(low))
    zero, one = torch.zeros_like(low), torch.ones_like(low)
    slope = torch.where(inside, one, zero)
    slope = torch.where(crosses_zero & ~crosses_one, high / width, slope)
    slope = torch.where(crosses_one & ~crosses_zero, (1 - low) / width, slope)
    both = crosses_zero & crosses_one
    slope = torch.where(both, torch.minimum(1 / high.clamp(min=1), 1 / (1 - low).clamp(min=1)), slope)
    constant = torch.where((low >= 1) & ~inside, one, zero)
    lower = torch.where(crosses_one & ~crosses_zero, 1 - slope - slope * (high - 1), constant)
    upper = torch.where(crosses_zero & ~crosses_one, -slope * low, constant)
    upper = torch.where(crosses_one, 1 - slope, upper)
    new_slope = slope.unsqueeze(1) * lines.lower_slope
    return _with_shared_errors(
        Lines(new_slope, slope * lines.lower + lower, new_slope, slope * lines.upper + upper), lines
    )


def _with_shared_errors(clipped_lines: Lines, unclipped: Lines) -> Lines:
    """Give the clipping error of pixels that move alike a direction of its own, in place of one error a pixel.

    In an image of 8 bits many pixels have the same value, cross 0 or 1 at the same theta, and are clipped by the same
    curve: they share one error, which then cancels in later layers as one error does. A piece in which more than
    `SHARED_ERRORS` different values cross keeps an error a pixel.
    """
    half = (clipped_lines.upper - clipped_lines.lower) / 2
    pieces = len(half)
    curves = torch.cat([unclipped.lower.unsqueeze(1), unclipped.lower_slope], dim=1).flatten(2)
    flat, directions = half.flatten(1), []
    for piece in range(pieces):
        crossing = (flat[piece] != 0).nonzero().squeeze(1)
        _, group = torch.unique(curves[piece][:, crossing], dim=1, return_inverse=True)
        count = int(group.max()) + 1 if len(group) else 0
        shared = flat.new_zeros(count if count <= SHARED_ERRORS else 0, flat.shape[1])
        if len(shared):
            shared[group, crossing] = flat[piece][crossing]
        directions.append(shared)
    most = max(len(shared) for shared in directions)
    if not most:
        return clipped_lines
    extra = flat.new_zeros(pieces, most, flat.shape[1])
    for piece, shared in enumerate(directions):
        extra[piece, : len(shared)] = shared
    moved = extra.sum(dim=1).view_as(half)
    slopes = torch.cat([clipped_lines.lower_slope, extra.view(pieces, most, *half.shape[1:])], dim=1)
    return Lines(slopes, clipped_lines.lower + moved, slopes, clipped_lines.upper - moved)
