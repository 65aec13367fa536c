"""Nonlinear operations as exact combinations of ReLUs, for engines that know nothing else.

max(a, b) = b + relu(a - b), and from it clamps, leaky ReLUs, absolute values and maxima over windows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, fx

from usncli.bounding.rewriting.activation import Function
from usncli.bounding.rewriting.vocabulary import CannotRewriteError

if TYPE_CHECKING:
    from usncli.bounding.rewriting.builder import NetworkBuilder

MOST_MAXIMA = 16
"""Longest chain of maxima along one axis; each link is one more ReLU to bound."""


def leak(builder: NetworkBuilder, values: fx.Node, slope: Tensor | float) -> fx.Node:
    """Add slope x + (1 - slope) relu(x): LeakyReLU and PReLU, for a slope of any sign."""
    slope = builder.constant(slope)
    return builder.add(builder.scale_shift(values, slope), builder.scale_shift(builder.relu(values), 1 - slope))


def clamp(builder: NetworkBuilder, values: fx.Node, lowest: float, highest: float) -> fx.Node:
    """Add min(max(values, lowest), highest)."""
    if lowest == 0:
        values = builder.relu(values)
    elif lowest > -math.inf:
        values = builder.scale_shift(builder.relu(builder.scale_shift(values, 1.0, -lowest)), 1.0, lowest)
    if highest == math.inf:
        return values
    return builder.scale_shift(builder.relu(builder.scale_shift(values, -1.0, highest)), -1.0, highest)


def absolute(builder: NetworkBuilder, values: fx.Node) -> fx.Node:
    """Add 2 relu(x) - x."""
    return builder.subtract(builder.scale_shift(builder.relu(values), 2.0), values)


EXPANSIONS: Mapping[Function, Callable[..., fx.Node]] = {
    Function.LEAKY_RELU: leak,
    Function.CLAMP: clamp,
    Function.ABSOLUTE: absolute,
}
"""Every function that is a combination of ReLUs; settings are keyword arguments."""


def maximum_over_windows(
    builder: NetworkBuilder, values: fx.Node, indices: Sequence[Tensor], shape: Sequence[int]
) -> fx.Node:
    """Add the maximum over windows, one axis after the other.

    Args:
        builder: the network.
        values: ``(batch, *shape)``.
        indices: of the last two axes, ``(window, outputs)`` each.
        shape: without the batch.
    """
    shape = list(shape)
    for axis, index in zip((-2, -1), indices, strict=True):
        if len(index) > MOST_MAXIMA:
            raise CannotRewriteError(
                f"a maximum over {len(index)} values along one axis, more than {MOST_MAXIMA}",
                "pool in two steps, or bound with --engine usn",
            )
        result = None
        for row in index:
            part = builder.select(values, shape, partial(torch.index_select, dim=axis, index=row))
            result = part if result is None else builder.maximum(result, part)
        assert result is not None, "a window holds at least one value"
        values, shape[axis] = result, index.shape[1]
    return values
