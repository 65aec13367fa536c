"""Rules for maxima over windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx

from usncli.bounding.rewriting.call import Call
from usncli.bounding.rewriting.vocabulary import CannotRewriteError

_aten = torch.ops.aten


def window_indices(size: int, outputs: int, kernel: int, stride: int, padding: int, dilation: int) -> Tensor:
    """Return which inputs each output of a pooling sees along one axis, ``(kernel, outputs)``.

    A position in the padding is replaced by the window's first input: a maximum does not mind an input seen twice, so
    this is exact whatever the inputs' signs, which padding with zeros is not.
    """
    positions = torch.arange(outputs) * stride - padding + torch.arange(kernel)[:, None] * dilation
    inside = (positions >= 0) & (positions < size)
    first = torch.where(inside, positions, size).amin(dim=0)
    return torch.where(inside, positions, first)


def _max_pool(call: Call, *, axes: int) -> fx.Node:
    """Pool over the last axis or the last two; a line is pooled as an image of height 1."""
    geometry = {name: _numbers(call.arguments[name], axes) for name in ("kernel_size", "padding", "dilation")}
    stride = _numbers(call.arguments["stride"] or call.arguments["kernel_size"], axes)
    before, after = call.shape()[1:], call.result.shape[1:]
    indices = [
        window_indices(*sizes)
        for sizes in zip(
            before[-axes:],
            after[-axes:],
            geometry["kernel_size"],
            stride,
            geometry["padding"],
            geometry["dilation"],
            strict=True,
        )
    ]
    values = call.node("self")
    if axes == 2:
        return call.builder.maximum_over_windows(values, indices, before)
    flat = (*before[:-1], 1, before[-1])
    values = call.builder.reshape(values, before, flat)
    values = call.builder.maximum_over_windows(values, [torch.zeros(1, 1, dtype=torch.long), *indices], flat)
    return call.builder.reshape(values, (*after[:-1], 1, after[-1]), after)


def _maximum_of_all(call: Call) -> fx.Node:
    """Take the maximum over both spatial axes: one window as large as the tensor."""
    before = call.shape()[1:]
    axes = {int(axis) % (len(before) + 1) for axis in call.arguments["dim"]}
    if len(before) != 3 or axes != {2, 3}:
        raise CannotRewriteError(
            "a maximum over other axes than height and width", "take maxima over height and width, as nn.MaxPool2d does"
        )
    indices = [torch.arange(size).unsqueeze(1) for size in before[1:]]
    values = call.builder.maximum_over_windows(call.node("self"), indices, before)
    return call.builder.reshape(values, (before[0], 1, 1), call.result.shape[1:])


def _numbers(value: Any, axes: int) -> list[int]:
    numbers = [int(number) for number in value] if isinstance(value, list | tuple) else [int(value)]
    return numbers * axes if len(numbers) == 1 else numbers


MAXIMUM_RULES: Mapping[Any, Callable[[Call], fx.Node]] = {
    _aten.max_pool1d.default: partial(_max_pool, axes=1),
    _aten.max_pool2d.default: partial(_max_pool, axes=2),
    _aten.amax.default: _maximum_of_all,
}
"""Rule of every maximum over windows that can be rewritten, by overload."""
