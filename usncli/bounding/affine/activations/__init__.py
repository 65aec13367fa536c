"""Relaxations of elementwise functions over intervals, and what their execution may round off.

To add a function: name it in `usncli.bounding.rewriting.activation`, and put what relaxes it into `RELAXATIONS` and
the accuracy of its execution into the table of `execution`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from usncli.bounding.affine.activations import smooth
from usncli.bounding.affine.activations.execution import execution_error
from usncli.bounding.affine.activations.piecewise_linear import absolute, clamp, hardsigmoid, leaky_relu, relu
from usncli.bounding.affine.activations.quadratic import hardswish, square
from usncli.bounding.affine.activations.relaxation import Relaxation, in_precision
from usncli.bounding.rewriting.activation import Activation, Function

__all__ = ["RELAXATIONS", "Relaxation", "execution_error", "relax"]

BLOCK = 2**14
"""Intervals that are relaxed at once on a CPU."""

RELAXATIONS: Mapping[Function, Callable[..., Relaxation]] = {
    Function.RELU: relu,
    Function.LEAKY_RELU: leaky_relu,
    Function.CLAMP: clamp,
    Function.ABSOLUTE: absolute,
    Function.SQUARE: square,
    Function.HARDSIGMOID: hardsigmoid,
    Function.HARDSWISH: hardswish,
    Function.SIGMOID: smooth.SIGMOID.relax,
    Function.TANH: smooth.TANH.relax,
    Function.EXP: smooth.EXP.relax,
    Function.SILU: smooth.SILU.relax,
    Function.GELU: smooth.GELU.relax,
    Function.GELU_BY_TANH: smooth.GELU_BY_TANH.relax,
    Function.SOFTPLUS: smooth.softplus,
    Function.ELU: smooth.elu,
    Function.MISH: smooth.MISH.relax,
}
"""What relaxes each function over intervals of float64; its settings are keyword arguments."""


def relax(layer: Activation, lower: Tensor, upper: Tensor) -> Relaxation:
    """Relax an activation over intervals.

    Args:
        layer: the activation.
        lower: the intervals' least values, of a shape that the activation's settings broadcast against; float32 or
            float64. What is not a number gives a radius that is not one.
        upper: their greatest values, likewise.

    Returns:
        Slope and radius in the intervals' precision, the shift in float64; computed in float64.
    """
    shape, count = lower.shape, max(1, lower.numel())
    # Of the many passes over them, most find a block in the processor's cache.
    at_once = BLOCK if lower.device.type == "cpu" else count
    settings = {
        name: value.expand(shape).flatten() if isinstance(value, Tensor) else value
        for name, value in layer.settings.items()
    }
    flat_lower, flat_upper = lower.flatten(), upper.flatten()
    blocks = []
    for start in range(0, count, at_once):
        block = slice(start, start + at_once)
        low, high = flat_lower[block].double(), flat_upper[block].double()
        here = {name: value[block] if isinstance(value, Tensor) else value for name, value in settings.items()}
        blocks.append(in_precision(RELAXATIONS[layer.function](low, high, **here), low, high, lower.dtype))
    return Relaxation(*(torch.cat(parts).reshape(shape) for parts in zip(*blocks, strict=True)))
