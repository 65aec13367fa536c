"""How far an execution of an elementwise function may be from its exact value.

Libraries compute these functions by polynomials and tables of their own. What is assumed of an execution with unit
roundoff u, onnxruntime's and torch's on CPUs, is the table below: an error of so many u times a scale, which is the
result's largest value over the interval for what is computed with a relative error (exp), and 1 or |x| for what is
computed with an absolute one (onnxruntime's sigmoid and tanh are rational functions, clipped far out).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from usncli.bounding.affine.activations.relaxation import largest
from usncli.bounding.rewriting.activation import Activation, Function

Scale = Callable[..., Tensor]


def execution_error(layer: Activation, lower: Tensor, upper: Tensor, roundoff: float) -> Tensor:
    """Return the most by which executing an activation on x in [lower, upper] may miss its exact value.

    Args:
        layer: the activation.
        lower: least values of x.
        upper: greatest values, of the same shape.
        roundoff: u of the execution: 2^-24 for float32.
    """
    units, scale = _ERRORS[layer.function]
    return units * roundoff * scale(lower, upper, **layer.settings)


def _exact(lower: Tensor, upper: Tensor) -> Tensor:
    return torch.zeros_like(lower)


def _one(lower: Tensor, upper: Tensor) -> Tensor:
    return torch.ones_like(lower)


def _square(lower: Tensor, upper: Tensor) -> Tensor:
    return largest(lower, upper).square()


def _exponential(lower: Tensor, upper: Tensor) -> Tensor:
    return torch.exp(upper)


def _above_one(lower: Tensor, upper: Tensor, threshold: float) -> Tensor:
    return upper.clamp(min=0) + 1


def _below_zero(lower: Tensor, upper: Tensor, alpha: float) -> Tensor:
    return torch.full_like(lower, alpha)


def _sloped(lower: Tensor, upper: Tensor, slope: float | Tensor) -> Tensor:
    return (-lower).clamp(min=0) * (slope.abs().to(lower) if isinstance(slope, Tensor) else abs(slope))


def _ends(lower: Tensor, upper: Tensor, lowest: float, highest: float) -> Tensor:
    """Return the larger end: it may be a number that the format rounds."""
    return torch.full_like(lower, max([abs(end) for end in (lowest, highest) if math.isfinite(end)], default=0.0))


_ERRORS: Mapping[Function, tuple[float, Scale]] = {
    Function.RELU: (0, _exact),
    Function.ABSOLUTE: (0, _exact),
    Function.LEAKY_RELU: (3, _sloped),
    Function.CLAMP: (1, _ends),
    Function.SQUARE: (2, _square),
    Function.HARDSIGMOID: (8, _one),
    Function.HARDSWISH: (12, largest),
    Function.SIGMOID: (8, _one),
    Function.TANH: (8, _one),
    Function.EXP: (8, _exponential),
    Function.SILU: (12, largest),
    Function.GELU: (16, largest),
    Function.GELU_BY_TANH: (16, largest),
    Function.SOFTPLUS: (8, _above_one),
    Function.ELU: (12, _below_zero),
    Function.MISH: (16, largest),
}
"""Units of roundoff and what they are of, for each function."""
