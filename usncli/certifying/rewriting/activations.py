"""Rules for activations that are exact combinations of ReLUs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx

from usncli.certifying.rewriting.builder import NetworkBuilder
from usncli.certifying.rewriting.call import Call, CannotRewriteError

_aten = torch.ops.aten


def leak(builder: NetworkBuilder, values: fx.Node, slope: Tensor | float) -> fx.Node:
    """Add slope x + (1 - slope) relu(x): LeakyReLU and PReLU, for a slope of any sign."""
    slope = builder.constant(slope)
    return builder.add(builder.scale_shift(values, slope), builder.scale_shift(builder.relu(values), 1 - slope))


def clamp(builder: NetworkBuilder, values: fx.Node, lowest: float | None, highest: float | None) -> fx.Node:
    """Add min(max(values, lowest), highest)."""
    if lowest is not None and highest is not None and lowest > highest:
        raise CannotRewriteError(f"a clamp to the empty range {lowest}..{highest}")
    if lowest is not None:
        values = builder.relu(values) if lowest == 0 else builder.at_least(values, lowest)
    return values if highest is None else builder.at_most(values, highest)


def _relu(call: Call) -> fx.Node:
    return call.builder.relu(call.node("self"))


def _relu6(call: Call) -> fx.Node:
    return clamp(call.builder, call.node("self"), 0.0, 6.0)


def _hardtanh(call: Call) -> fx.Node:
    return clamp(call.builder, call.node("self"), call.number("min_val"), call.number("max_val"))


def _clamp(call: Call) -> fx.Node:
    ends = [None if call.arguments.get(name) is None else call.number(name) for name in ("min", "max")]
    return clamp(call.builder, call.node("self"), *ends)


def _leaky_relu(call: Call) -> fx.Node:
    return leak(call.builder, call.node("self"), call.number("negative_slope"))


def _maximum(call: Call) -> fx.Node:
    if call.shape("self") != call.shape("other"):
        raise CannotRewriteError("a maximum of tensors of different shapes")
    return call.builder.maximum(call.node("self"), call.node("other"))


def _minimum(call: Call) -> fx.Node:
    if call.shape("self") != call.shape("other"):
        raise CannotRewriteError("a minimum of tensors of different shapes")
    first, second = call.node("self"), call.node("other")
    return call.builder.subtract(first, call.builder.relu(call.builder.subtract(first, second)))


def _absolute(call: Call) -> fx.Node:
    values = call.node("self")
    doubled = call.builder.scale_shift(call.builder.relu(values), 2.0)
    return call.builder.subtract(doubled, values)


ACTIVATION_RULES: Mapping[Any, Callable[[Call], fx.Node]] = {
    _aten.relu.default: _relu,
    _aten.relu6.default: _relu6,
    _aten.hardtanh.default: _hardtanh,
    _aten.clamp.default: _clamp,
    _aten.clip.default: _clamp,
    _aten.clamp_min.default: _clamp,
    _aten.clamp_max.default: _clamp,
    _aten.leaky_relu.default: _leaky_relu,
    _aten.maximum.default: _maximum,
    _aten.minimum.default: _minimum,
    _aten.abs.default: _absolute,
}
"""Rule of every activation that can be rewritten, by overload."""
