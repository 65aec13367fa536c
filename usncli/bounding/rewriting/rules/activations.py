"""Rules for elementwise functions of one tensor, and for the larger or smaller of two."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import fx

from usncli.bounding.rewriting.activation import Function
from usncli.bounding.rewriting.call import Call
from usncli.bounding.rewriting.vocabulary import CannotRewriteError

_aten = torch.ops.aten
SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
"""As torch defines SELU."""


def _plain(call: Call, *, function: Function) -> fx.Node:
    return call.builder.activation(call.node("self"), function)


def clamp(call: Call, lowest: float, highest: float) -> fx.Node:
    """Add min(max(values, lowest), highest)."""
    if lowest > highest:
        raise CannotRewriteError(
            f"a clamp to the empty range {lowest}..{highest}", "clamp to a range that holds numbers"
        )
    return call.builder.activation(call.node("self"), Function.CLAMP, {"lowest": lowest, "highest": highest})


def _relu6(call: Call) -> fx.Node:
    return clamp(call, 0.0, 6.0)


def _hardtanh(call: Call) -> fx.Node:
    return clamp(call, call.number("min_val"), call.number("max_val"))


def _clamp(call: Call) -> fx.Node:
    absent = {"min": -math.inf, "max": math.inf}
    lowest, highest = (end if call.arguments.get(name) is None else call.number(name) for name, end in absent.items())
    return clamp(call, lowest, highest)


def _leaky_relu(call: Call) -> fx.Node:
    return call.builder.activation(call.node("self"), Function.LEAKY_RELU, {"slope": call.number("negative_slope")})


def _gelu(call: Call) -> fx.Node:
    by_tanh = call.arguments.get("approximate") == "tanh"
    return call.builder.activation(call.node("self"), Function.GELU_BY_TANH if by_tanh else Function.GELU)


def _softplus(call: Call) -> fx.Node:
    """softplus(beta x) / beta."""
    values, beta = call.node("self"), call.number("beta")
    settings = {"threshold": call.number("threshold")}
    if beta == 1:
        return call.builder.activation(values, Function.SOFTPLUS, settings)
    scaled = call.builder.activation(call.builder.scale_shift(values, beta), Function.SOFTPLUS, settings)
    return call.builder.scale_shift(scaled, 1 / beta)


def _elu(call: Call) -> fx.Node:
    if call.number("input_scale") != 1 or call.number("scale") != 1 or call.number("alpha") < 0:
        raise CannotRewriteError(
            "an ELU that is scaled, or of a negative alpha", "use nn.ELU with an alpha of at least 0, or nn.SELU"
        )
    return call.builder.activation(call.node("self"), Function.ELU, {"alpha": call.number("alpha")})


def _selu(call: Call) -> fx.Node:
    return call.builder.scale_shift(
        call.builder.activation(call.node("self"), Function.ELU, {"alpha": SELU_ALPHA}), SELU_SCALE
    )


def _power(call: Call) -> fx.Node:
    exponent = call.number("exponent")
    if exponent not in (1, 2):
        raise CannotRewriteError(f"a power of {exponent:g}", "multiply out: only squares are known")
    values = call.node("self")
    return values if exponent == 1 else call.builder.activation(values, Function.SQUARE)


def _larger(call: Call, *, sign: float) -> fx.Node:
    """max(a, b) = b + relu(a - b), min(a, b) = a - relu(a - b)."""
    builder = call.builder
    first, second = call.broadcast("self"), call.broadcast("other")
    excess = builder.relu(builder.subtract(first, second))
    return builder.add(second, excess) if sign > 0 else builder.subtract(first, excess)


ACTIVATION_RULES: Mapping[Any, Callable[[Call], fx.Node]] = {
    _aten.relu.default: partial(_plain, function=Function.RELU),
    _aten.abs.default: partial(_plain, function=Function.ABSOLUTE),
    _aten.square.default: partial(_plain, function=Function.SQUARE),
    _aten.hardsigmoid.default: partial(_plain, function=Function.HARDSIGMOID),
    _aten.hardswish.default: partial(_plain, function=Function.HARDSWISH),
    _aten.sigmoid.default: partial(_plain, function=Function.SIGMOID),
    _aten.tanh.default: partial(_plain, function=Function.TANH),
    _aten.exp.default: partial(_plain, function=Function.EXP),
    _aten.silu.default: partial(_plain, function=Function.SILU),
    _aten.mish.default: partial(_plain, function=Function.MISH),
    _aten.gelu.default: _gelu,
    _aten.softplus.default: _softplus,
    _aten.elu.default: _elu,
    _aten.selu.default: _selu,
    _aten.relu6.default: _relu6,
    _aten.hardtanh.default: _hardtanh,
    _aten.clamp.default: _clamp,
    _aten.clip.default: _clamp,
    _aten.clamp_min.default: _clamp,
    _aten.clamp_max.default: _clamp,
    _aten.leaky_relu.default: _leaky_relu,
    _aten.pow.Tensor_Scalar: _power,
    _aten.maximum.default: partial(_larger, sign=1.0),
    _aten.minimum.default: partial(_larger, sign=-1.0),
}
"""Rule of every activation that can be rewritten, by overload."""
