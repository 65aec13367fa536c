"""ONNX operators with weights, and pooling."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx

from usncli.loading.onnx_reading.builder import Builder, OnnxCall, Value, shape

_aten = torch.ops.aten


def _lift(builder: Builder, call: OnnxCall, index: int, role: str, tensor: Tensor | None = None) -> fx.Node | None:
    """Lift a constant input as part of a layer; the layer is named after its weight if that has a telling name."""
    value = call.optional(index)
    if value is None or isinstance(value, fx.Node):
        return value
    own = re.fullmatch(r"[\w.]+\.(weight|bias|running_mean|running_var)", call.names[index])
    name = call.names[index] if own and own.group(1) == role else f"{call.layer or 'layer'}.{role}"
    return builder.lift(name, value if tensor is None else tensor)


def _pads(call: OnnxCall, spatial: int, kernel: list[int]) -> tuple[list[int], list[int]]:
    """Return padding before and after, one number a dimension each."""
    mode = call.attributes.get("auto_pad", "NOTSET")
    strides = call.attributes.get("strides", [1] * spatial)
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        sizes = shape(call.input(0))[2:]
        dilations = call.attributes.get("dilations", [1] * spatial)
        total = [
            max((-(-size // stride) - 1) * stride + (width - 1) * dilation + 1 - size, 0)
            for size, stride, width, dilation in zip(sizes, strides, kernel, dilations, strict=True)
        ]
        small, large = [item // 2 for item in total], [item - item // 2 for item in total]
        return (small, large) if mode == "SAME_UPPER" else (large, small)
    pads = list(call.attributes.get("pads", [0] * (2 * spatial)))
    return pads[:spatial], pads[spatial:]


def _padded(builder: Builder, value: Value, before: list[int], after: list[int], fill: float = 0.0) -> Value:
    amounts = [item for pair in reversed(list(zip(before, after, strict=True))) for item in pair]
    return builder.call(_aten.constant_pad_nd.default, value, amounts, fill)


def _convolution(builder: Builder, call: OnnxCall) -> Value:
    images, kernel = call.input(0), list(shape(call.input(1))[2:])
    spatial = len(kernel)
    before, after = _pads(call, spatial, kernel)
    if before != after:
        images, before = _padded(builder, images, before, after), [0] * spatial
    weight, bias = _lift(builder, call, 1, "weight"), _lift(builder, call, 2, "bias")
    strides = list(call.attributes.get("strides", [1] * spatial))
    dilations = list(call.attributes.get("dilations", [1] * spatial))
    overload = (_aten.conv1d.default, _aten.conv2d.default, _aten.conv3d.default)[spatial - 1]
    return builder.call(overload, images, weight, bias, strides, before, dilations, call.attributes.get("group", 1))


def _transposed_convolution(builder: Builder, call: OnnxCall) -> Value:
    kernel = list(shape(call.input(1))[2:])
    spatial = len(kernel)
    before, after = _pads(call, spatial, kernel)
    if before != after or "output_shape" in call.attributes or call.attributes.get("auto_pad", "NOTSET") != "NOTSET":
        raise call.unsupported("with padding that differs between sides")
    weight, bias = _lift(builder, call, 1, "weight"), _lift(builder, call, 2, "bias")
    strides, output_padding, dilations = (
        list(call.attributes.get(name, [default] * spatial))
        for name, default in (("strides", 1), ("output_padding", 0), ("dilations", 1))
    )
    overloads = (_aten.conv_transpose1d.default, _aten.conv_transpose2d.input, _aten.conv_transpose3d.input)
    group = call.attributes.get("group", 1)
    return builder.call(
        overloads[spatial - 1], call.input(0), weight, bias, strides, before, output_padding, group, dilations
    )


def _gemm(builder: Builder, call: OnnxCall) -> Value:
    attributes = call.attributes
    matrix, bias = call.constant(1), call.constant(2)
    if matrix is None or attributes.get("transA", 0):
        raise call.unsupported("with a transposed or missing matrix")
    alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
    weight = matrix if attributes.get("transB", 0) else matrix.t().contiguous()
    if alpha != 1:
        weight = weight * alpha
    lifted = _lift(builder, call, 1, "weight", weight)
    if bias is None:
        return builder.call(_aten.linear.default, call.input(0), lifted)
    vector = (bias * beta if beta != 1 else bias).reshape(-1).expand(weight.shape[0]).contiguous()
    return builder.call(_aten.linear.default, call.input(0), lifted, _lift(builder, call, 2, "bias", vector))


def _matrix_product(builder: Builder, call: OnnxCall) -> Value:
    left, right = call.input(0), call.input(1)
    if isinstance(left, fx.Node) and isinstance(right, Tensor) and right.dim() == 2:
        weight = _lift(builder, call, 1, "weight", right.t().contiguous())
        return builder.call(_aten.linear.default, left, weight)
    return builder.call(_aten.matmul.default, left, right)


def _batch_norm(builder: Builder, call: OnnxCall) -> Value:
    roles = ("weight", "bias", "running_mean", "running_var")
    tensors = [_lift(builder, call, index, role) for index, role in enumerate(roles, 1)]
    eps, momentum = call.attributes.get("epsilon", 1e-5), 1 - call.attributes.get("momentum", 0.9)
    return builder.call(_aten.batch_norm.default, call.input(0), *tensors, False, round(momentum, 6), eps, False)


def _instance_norm(builder: Builder, call: OnnxCall) -> Value:
    weight, bias = _lift(builder, call, 1, "weight"), _lift(builder, call, 2, "bias")
    eps = call.attributes.get("epsilon", 1e-5)
    return builder.call(_aten.instance_norm.default, call.input(0), weight, bias, None, None, True, 0.1, eps, False)


def _layer_norm(builder: Builder, call: OnnxCall) -> Value:
    sizes = shape(call.input(0))[call.attributes.get("axis", -1) :]
    weight, bias = _lift(builder, call, 1, "weight"), _lift(builder, call, 2, "bias")
    eps = call.attributes.get("epsilon", 1e-5)
    return builder.call(_aten.layer_norm.default, call.input(0), list(sizes), weight, bias, eps)


def _group_norm(builder: Builder, call: OnnxCall) -> Value:
    channels, groups = shape(call.input(0))[1], call.attributes["num_groups"]
    tensors = []
    for index, role in ((1, "weight"), (2, "bias")):
        tensor = call.constant(index)
        if tensor is None or tensor.numel() == channels:
            tensors.append(_lift(builder, call, index, role))
        else:  # opset 18 states one number a group
            tensors.append(_lift(builder, call, index, role, tensor.repeat_interleave(channels // groups)))
    eps = call.attributes.get("epsilon", 1e-5)
    return builder.call(_aten.group_norm.default, call.input(0), groups, *tensors, eps)


def _prelu(builder: Builder, call: OnnxCall) -> Value:
    slope = call.constant(1)
    channels = shape(call.input(0))[1]
    if slope is None or slope.numel() not in (1, channels):
        raise call.unsupported("with a slope that differs within a channel")
    weight = _lift(builder, call, 1, "weight", slope.reshape(-1))
    return builder.call(_aten.prelu.default, call.input(0), weight)


def _max_pool(builder: Builder, call: OnnxCall) -> Value:
    if call.outputs > 1:
        raise call.unsupported("for the positions of its maxima")
    images, kernel = call.input(0), list(call.attributes["kernel_shape"])
    spatial = len(kernel)
    before, after = _pads(call, spatial, kernel)
    if before != after:
        images, before = _padded(builder, images, before, after, float("-inf")), [0] * spatial
    strides = list(call.attributes.get("strides", [1] * spatial))
    dilations = list(call.attributes.get("dilations", [1] * spatial))
    overload = (_aten.max_pool1d.default, _aten.max_pool2d.default, _aten.max_pool3d.default)[spatial - 1]
    ceil = bool(call.attributes.get("ceil_mode", 0))
    return builder.call(overload, images, kernel, strides, before, dilations, ceil)


def _average_pool(builder: Builder, call: OnnxCall) -> Value:
    images, kernel = call.input(0), list(call.attributes["kernel_shape"])
    spatial = len(kernel)
    before, after = _pads(call, spatial, kernel)
    counted = bool(call.attributes.get("count_include_pad", 0))
    if before != after:
        if not counted:
            raise call.unsupported("with padding that differs between sides and is not counted")
        images, before = _padded(builder, images, before, after), [0] * spatial
    strides = list(call.attributes.get("strides", [1] * spatial))
    overload = (_aten.avg_pool1d.default, _aten.avg_pool2d.default, _aten.avg_pool3d.default)[spatial - 1]
    ceil = bool(call.attributes.get("ceil_mode", 0))
    return builder.call(overload, images, kernel, strides, before, ceil, counted)


def _global_average_pool(builder: Builder, call: OnnxCall) -> Value:
    spatial = len(shape(call.input(0))) - 2
    overloads: Any = (_aten.adaptive_avg_pool1d, _aten.adaptive_avg_pool2d, _aten.adaptive_avg_pool3d)
    return builder.call(overloads[spatial - 1].default, call.input(0), [1] * spatial)


def _global_max_pool(builder: Builder, call: OnnxCall) -> Value:
    axes = list(range(2, len(shape(call.input(0)))))
    return builder.call(_aten.amax.default, call.input(0), axes, True)


LAYERS: Mapping[str, Callable[[Builder, OnnxCall], Value]] = {
    "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
    "Gemm": _gemm,
    "MatMul": _matrix_product,
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "GroupNormalization": _group_norm,
    "PRelu": _prelu,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_average_pool,
    "GlobalMaxPool": _global_max_pool,
}
"""Operators by name."""
