"""Rules for pooling. A maximum over a window is a chain of maxima of two: max(a, b) = b + relu(a - b)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx

from usncli.certifying.rewriting.builder import NetworkBuilder
from usncli.certifying.rewriting.call import Call, CannotRewriteError

_aten = torch.ops.aten
MOST_MAXIMA = 16
"""Longest chain of maxima along one axis; each link is one more ReLU to bound."""


def window_indices(size: int, outputs: int, kernel: int, stride: int, padding: int, dilation: int) -> Tensor:
    """Return which inputs each output of a pooling sees along one axis, ``(kernel, outputs)``.

    A position in the padding is replaced by the window's first input: a maximum does not mind an input seen twice, so
    this is exact whatever the inputs' signs, which padding with zeros is not.
    """
    positions = torch.arange(outputs) * stride - padding + torch.arange(kernel)[:, None] * dilation
    inside = (positions >= 0) & (positions < size)
    first = torch.where(inside, positions, size).amin(dim=0)
    return torch.where(inside, positions, first)


def maximum_along(builder: NetworkBuilder, values: fx.Node, dimension: int, indices: Tensor) -> fx.Node:
    """Add the maximum over windows along one dimension.

    Args:
        builder: the network.
        values: ``(batch, ...)``.
        dimension: counted with the batch.
        indices: ``(window, outputs)``, see `window_indices`.
    """
    if len(indices) > MOST_MAXIMA:
        raise CannotRewriteError(f"a maximum over {len(indices)} values along one axis, more than {MOST_MAXIMA}")

    def select(row: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda tensor: tensor.index_select(dimension, row.to(tensor.device))

    parts = [builder.monotone(values, "shift", select(row)) for row in indices]
    result = parts[0]
    for part in parts[1:]:
        result = builder.maximum(result, part)
    return result


def _pair(value: Any, default: Any = None) -> tuple[int, int]:
    numbers = list(value) if isinstance(value, list | tuple) else [value]
    numbers = numbers or list(default)
    return (int(numbers[0]), int(numbers[-1]))


def _max_pool(call: Call) -> fx.Node:
    kernel = _pair(call.arguments["kernel_size"])
    stride = _pair(call.arguments["stride"], default=kernel)
    padding, dilation = _pair(call.arguments["padding"]), _pair(call.arguments["dilation"])
    values = call.node("self")
    for axis in (0, 1):
        dimension = call.result.dim() - 2 + axis
        size, outputs = call.shape()[dimension], call.result.shape[dimension]
        geometry = (kernel[axis], stride[axis], padding[axis], dilation[axis])
        values = maximum_along(call.builder, values, dimension, window_indices(size, outputs, *geometry))
    return values


MAXIMUM_RULES: Mapping[Any, Callable[[Call], fx.Node]] = {
    _aten.max_pool2d.default: _max_pool,
}
"""Rule of every maximum over windows that can be rewritten, by overload."""
