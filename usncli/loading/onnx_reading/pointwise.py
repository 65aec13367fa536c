"""ONNX operators that act on every number by itself, and reductions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import numpy as np
import torch
from onnx import TensorProto, helper
from torch import Tensor
from torch._ops import OpOverload

from usncli.loading.onnx_reading.builder import Builder, OnnxCall, Value, shape

_aten = torch.ops.aten
Handler = Callable[[Builder, OnnxCall], Value]

_UNARY: Mapping[str, OpOverload] = {
    "Relu": _aten.relu.default,
    "Sigmoid": _aten.sigmoid.default,
    "Tanh": _aten.tanh.default,
    "HardSwish": _aten.hardswish.default,
    "Mish": _aten.mish.default,
    "Softplus": _aten.softplus.default,
    "Selu": _aten.selu.default,
    "Erf": _aten.erf.default,
    "Exp": _aten.exp.default,
    "Log": _aten.log.default,
    "Sqrt": _aten.sqrt.default,
    "Abs": _aten.abs.default,
    "Neg": _aten.neg.default,
    "Reciprocal": _aten.reciprocal.default,
    "Floor": _aten.floor.default,
    "Ceil": _aten.ceil.default,
    "Sin": _aten.sin.default,
    "Cos": _aten.cos.default,
    "Not": _aten.logical_not.default,
}
_BINARY: Mapping[str, OpOverload] = {
    "Add": _aten.add.Tensor,
    "Sub": _aten.sub.Tensor,
    "Mul": _aten.mul.Tensor,
    "Pow": _aten.pow.Tensor_Tensor,
    "Equal": _aten.eq.Tensor,
    "Greater": _aten.gt.Tensor,
    "GreaterOrEqual": _aten.ge.Tensor,
    "Less": _aten.lt.Tensor,
    "LessOrEqual": _aten.le.Tensor,
    "And": _aten.logical_and.default,
    "Or": _aten.logical_or.default,
}
_VARIADIC: Mapping[str, OpOverload] = {
    "Sum": _aten.add.Tensor,
    "Max": _aten.maximum.default,
    "Min": _aten.minimum.default,
}


def _unary(overload: OpOverload, builder: Builder, call: OnnxCall) -> Value:
    return builder.call(overload, call.input(0))


def _binary(overload: OpOverload, builder: Builder, call: OnnxCall) -> Value:
    """Call with a number instead of a tensor where the second input is one constant number."""
    left, right = call.input(0), call.input(1)
    scalar = _SCALAR_FORMS.get(overload)
    if (
        scalar is not None
        and isinstance(right, torch.Tensor)
        and right.dim() == 0
        and not isinstance(left, torch.Tensor)
    ):
        return builder.call(scalar, left, right.item())
    return builder.call(overload, left, right)


_SCALAR_FORMS: Mapping[OpOverload, OpOverload] = {_aten.pow.Tensor_Tensor: _aten.pow.Tensor_Scalar}


def _variadic(overload: OpOverload, builder: Builder, call: OnnxCall) -> Value:
    values = [value for value in call.inputs if value is not None]
    return functools.reduce(lambda left, right: builder.call(overload, left, right), values)


def _divide(builder: Builder, call: OnnxCall) -> Value:
    left, right = call.input(0), call.input(1)
    if isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor) and not left.is_floating_point():
        return torch.div(left, right, rounding_mode="trunc")
    return builder.call(_aten.div.Tensor, left, right)


def _leaky_relu(builder: Builder, call: OnnxCall) -> Value:
    return builder.call(_aten.leaky_relu.default, call.input(0), call.attributes.get("alpha", 0.01))


def _elu(builder: Builder, call: OnnxCall) -> Value:
    return builder.call(_aten.elu.default, call.input(0), call.attributes.get("alpha", 1.0))


def _hard_sigmoid(builder: Builder, call: OnnxCall) -> Value:
    alpha, beta = call.attributes.get("alpha", 0.2), call.attributes.get("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return builder.call(_aten.hardsigmoid.default, call.input(0))
    line = builder.call(_aten.add.Scalar, builder.call(_aten.mul.Scalar, call.input(0), alpha), beta)
    return builder.call(_aten.clamp.default, line, 0.0, 1.0)


def _gelu(builder: Builder, call: OnnxCall) -> Value:
    if call.attributes.get("approximate", "none") == "none":
        return builder.call(_aten.gelu.default, call.input(0))
    raise call.unsupported("in its approximate form")


def _clip(builder: Builder, call: OnnxCall) -> Value:
    limits = []
    for index, name in ((1, "min"), (2, "max")):
        given = call.constant(index)
        limits.append(float(given.item()) if given is not None else call.attributes.get(name))
    return builder.call(_aten.clamp.default, call.input(0), *limits)


def _cast(builder: Builder, call: OnnxCall) -> Value:
    """Convert a stored tensor, such as a weight kept in float16; values of the image are float32 throughout."""
    value, kind = call.input(0), call.attributes["to"]
    if isinstance(value, Tensor):
        dtype = torch.from_numpy(np.zeros(1, helper.tensor_dtype_to_np_dtype(kind))).dtype
        return builder.remember(call.names[0], value.to(dtype))
    if kind != TensorProto.FLOAT or value.meta["val"].dtype != torch.float32:
        raise call.unsupported("on values of another kind than float32")
    return value


def _softmax(builder: Builder, call: OnnxCall) -> Value:
    dimensions = len(shape(call.input(0)))
    axis = call.attributes.get("axis", -1 if call.opset >= 13 else 1)
    if call.opset < 13 and axis % dimensions != dimensions - 1:
        raise call.unsupported("over several dimensions at once (opset below 13)")
    overload = _aten.softmax.int if call.operation == "Softmax" else _aten.log_softmax.int
    return builder.call(overload, call.input(0), axis)


def _where(builder: Builder, call: OnnxCall) -> Value:
    return builder.call(_aten.where.self, *(call.input(index) for index in range(3)))


def _reduce_values(builder: Builder, call: OnnxCall) -> Value:
    axes = call.integers(1, "axes")
    if axes is None:
        if call.attributes.get("noop_with_empty_axes", 0):
            return call.input(0)
        axes = list(range(len(shape(call.input(0)))))
    keep = bool(call.attributes.get("keepdims", 1))
    overload = _REDUCTIONS[call.operation]
    return builder.call(overload, call.input(0), axes, keep)


_REDUCTIONS: Mapping[str, OpOverload] = {
    "ReduceMean": _aten.mean.dim,
    "ReduceSum": _aten.sum.dim_IntList,
    "ReduceMax": _aten.amax.default,
    "ReduceMin": _aten.amin.default,
}

POINTWISE: Mapping[str, Handler] = {
    **{name: functools.partial(_unary, overload) for name, overload in _UNARY.items()},
    **{name: functools.partial(_binary, overload) for name, overload in _BINARY.items()},
    **{name: functools.partial(_variadic, overload) for name, overload in _VARIADIC.items()},
    **dict.fromkeys(_REDUCTIONS, _reduce_values),
    "Div": _divide,
    "LeakyRelu": _leaky_relu,
    "Elu": _elu,
    "HardSigmoid": _hard_sigmoid,
    "Gelu": _gelu,
    "Clip": _clip,
    "Cast": _cast,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "Where": _where,
}
"""Operators by name."""
