"""ONNX operators that move, cut, join or resize, and those that compute with sizes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, fx

from usncli.loading.onnx_reading.builder import BATCH, Builder, OnnxCall, Value, shape

_aten = torch.ops.aten
_LAST = 9223372036854775807


def _reshape(builder: Builder, call: OnnxCall) -> Value:
    sizes, before = call.integers(1, "shape"), shape(call.input(0))
    if sizes is None:
        raise call.unsupported("without a shape")
    if not call.attributes.get("allowzero", 0):
        sizes = [before[index] if size == 0 else size for index, size in enumerate(sizes)]
    return builder.sized(_aten.reshape.default, call.input(0), sizes)


def _flatten(builder: Builder, call: OnnxCall) -> Value:
    before = shape(call.input(0))
    axis = call.attributes.get("axis", 1)
    if axis % len(before) != 1:
        raise call.unsupported("across the batch")
    return builder.call(_aten.flatten.using_ints, call.input(0), 1)


def _squeeze(builder: Builder, call: OnnxCall) -> Value:
    axes = call.integers(1, "axes")
    if axes is None:
        axes = [axis for axis, size in enumerate(shape(call.input(0))) if size == 1]
    return builder.call(_aten.squeeze.dims, call.input(0), axes)


def _unsqueeze(builder: Builder, call: OnnxCall) -> Value:
    axes, value = call.integers(1, "axes") or [], call.input(0)
    dimensions = len(shape(value)) + len(axes)
    for axis in sorted(axis % dimensions for axis in axes):
        value = builder.call(_aten.unsqueeze.default, value, axis)
    return value


def _transpose(builder: Builder, call: OnnxCall) -> Value:
    order = call.attributes.get("perm") or list(reversed(range(len(shape(call.input(0))))))
    return builder.call(_aten.permute.default, call.input(0), list(order))


def _concat(builder: Builder, call: OnnxCall) -> Value:
    values = [value for value in call.inputs if value is not None]
    return builder.call(_aten.cat.default, values, call.attributes["axis"])


def _cut(builder: Builder, call: OnnxCall) -> Value:
    value = call.input(0)
    starts, ends = call.integers(1, "starts") or [], call.integers(2, "ends") or []
    axes, steps = call.integers(3, "axes") or list(range(len(starts))), call.integers(4) or [1] * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if step < 0:
            if not isinstance(value, Tensor):
                raise call.unsupported("with a negative step")
            value = value.flip(axis) if start == -1 and abs(end) > value.shape[axis] and step == -1 else value
        else:
            value = builder.call(_aten.slice.Tensor, value, axis, start, min(end, _LAST), step)
    return value


def _split(builder: Builder, call: OnnxCall) -> tuple[Value, ...]:
    axis, sizes = call.attributes.get("axis", 0), call.integers(1, "split")
    if sizes is None:
        length = shape(call.input(0))[axis]
        part = -(-length // call.outputs)
        sizes = [min(part, length - start) for start in range(0, length, part)]
    starts = [sum(sizes[:index]) for index in range(len(sizes) + 1)]
    return tuple(
        builder.call(_aten.slice.Tensor, call.input(0), axis, start, end) for start, end in itertools.pairwise(starts)
    )


def _gather(builder: Builder, call: OnnxCall) -> Value:
    indices, axis = call.constant(1), call.attributes.get("axis", 0)
    value = call.input(0)
    if indices is None or indices.dim() > 1:
        raise call.unsupported("with a table of positions")
    length = shape(value)[axis]
    if indices.dim() == 0:
        return builder.call(_aten.select.int, value, axis, int(indices.item()))
    return builder.call(_aten.index_select.default, value, axis, indices % length)


def _expand(builder: Builder, call: OnnxCall) -> Value:
    before, sizes = shape(call.input(0)), call.integers(1) or []
    length = max(len(before), len(sizes))
    padded = [(1,) * (length - len(item)) + tuple(item) for item in (before, sizes)]
    after = [new if old == 1 else old for old, new in zip(*padded, strict=True)]
    return builder.sized(_aten.expand.default, call.input(0), after)


def _tile(builder: Builder, call: OnnxCall) -> Value:
    return builder.call(_aten.repeat.default, call.input(0), call.integers(1) or [])


def _pad(builder: Builder, call: OnnxCall) -> Value:
    dimensions, pads = len(shape(call.input(0))), call.integers(1, "pads") or []
    axes = call.integers(3) or list(range(len(pads) // 2))
    amounts = [[0, 0] for _ in range(dimensions)]
    for position, axis in enumerate(axes):
        amounts[axis] = [pads[position], pads[position + len(axes)]]
    mode = call.attributes.get("mode", "constant")
    given = call.constant(2)
    fill = float(given.item()) if given is not None and given.numel() else float(call.attributes.get("value", 0.0))
    flat = [amount for pair in reversed(amounts) for amount in pair]
    if mode == "constant":
        while len(flat) > 2 and flat[-2:] == [0, 0]:
            flat = flat[:-2]
        return builder.call(_aten.constant_pad_nd.default, call.input(0), flat, fill)
    overloads = {"reflect": _aten.reflection_pad2d.default, "edge": _aten.replication_pad2d.default}
    if mode not in overloads or dimensions != 4 or any(flat[4:]):
        raise call.unsupported(f"in mode {mode}")
    return builder.call(overloads[mode], call.input(0), flat[:4])


def _resize(builder: Builder, call: OnnxCall) -> Value:
    """Resize height and width; which torch function agrees with which ONNX mode is checked against onnxruntime."""
    old = call.operation == "Upsample" or call.opset < 11
    scales = call.constant(1 if old else 2)
    sizes = None if old else call.integers(3)
    before, height_width = shape(call.input(0)), None
    if sizes:
        height_width = sizes[-2:]
    elif scales is not None and scales.numel() >= 2:
        height_width = [int(size * scale) for size, scale in zip(before[2:], scales.tolist()[-2:], strict=True)]
    if height_width is None or len(before) != 4:
        raise call.unsupported("on other than height and width")
    mode, position = (
        call.attributes.get("mode", "nearest"),
        call.attributes.get("coordinate_transformation_mode", "asymmetric" if old else "half_pixel"),
    )
    factors = [new / size for new, size in zip(height_width, before[2:], strict=True)]
    return _interpolate(builder, call, mode, position, height_width, factors)


def _interpolate(
    builder: Builder, call: OnnxCall, mode: str, position: str, sizes: list[int], factors: list[float]
) -> Value:
    half_pixel = position in ("half_pixel", "pytorch_half_pixel")
    if mode == "nearest":
        floor = position == "asymmetric" and call.attributes.get("nearest_mode", "floor") == "floor"
        whole = all(factor == int(factor) for factor in factors)
        if floor or (half_pixel and whole):
            return builder.call(_aten.upsample_nearest2d.vec, call.input(0), sizes, None)
    if mode in ("linear", "cubic") and (half_pixel or position == "align_corners"):
        overload = _aten.upsample_bilinear2d.vec if mode == "linear" else _aten.upsample_bicubic2d.vec
        return builder.call(overload, call.input(0), sizes, position == "align_corners", None)
    raise call.unsupported(f"in mode {mode} with coordinates {position}")


def _depth_to_space(builder: Builder, call: OnnxCall) -> Value:
    factor = call.attributes["blocksize"]
    if call.attributes.get("mode", "DCR") == "CRD":
        return builder.call(_aten.pixel_shuffle.default, call.input(0), factor)
    batch, channels, height, width = shape(call.input(0))
    parts = channels // factor**2
    split_up = builder.sized(_aten.reshape.default, call.input(0), [batch, factor, factor, parts, height, width])
    moved = builder.call(_aten.permute.default, split_up, [0, 3, 4, 1, 5, 2])
    return builder.sized(_aten.reshape.default, moved, [batch, parts, height * factor, width * factor])


def _sizes_of(builder: Builder, call: OnnxCall) -> Value:
    sizes = list(shape(call.input(0)))
    return torch.tensor(sizes[call.attributes.get("start", 0) : call.attributes.get("end", len(sizes))])


def _constant(builder: Builder, call: OnnxCall) -> Value:
    (value,) = call.attributes.values()
    return value if isinstance(value, Tensor) else torch.tensor(value)


def _constant_of_shape(builder: Builder, call: OnnxCall) -> Value:
    sizes = call.integers(0) or []
    if BATCH in sizes:
        raise call.unsupported("with the batch size")
    fill = call.attributes.get("value", torch.zeros(1))
    return fill.reshape(-1)[0].expand(sizes).clone()  # type: ignore[no-any-return]


def _number_range(builder: Builder, call: OnnxCall) -> Value:
    limits = [tensor.item() for index in range(3) if (tensor := call.constant(index)) is not None]
    return torch.arange(*limits)


def _cast(builder: Builder, call: OnnxCall) -> Value:
    dtype = _DTYPES.get(call.attributes["to"])
    if dtype is None:
        raise call.unsupported(f"to the ONNX type {call.attributes['to']}")
    value = call.input(0)
    if isinstance(value, fx.Node) and value.meta["val"].dtype == dtype:
        return value
    return builder.call(_aten.to.dtype, value, dtype)


def _identity(builder: Builder, call: OnnxCall) -> Value:
    return call.input(0)


_DTYPES = {
    1: torch.float32,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
}

SHAPES: Mapping[str, Callable[[Builder, OnnxCall], Value | tuple[Value, ...]]] = {
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Concat": _concat,
    "Slice": _cut,
    "Split": _split,
    "Gather": _gather,
    "Expand": _expand,
    "Tile": _tile,
    "Pad": _pad,
    "Resize": _resize,
    "Upsample": _resize,
    "DepthToSpace": _depth_to_space,
    "Shape": _sizes_of,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Range": _number_range,
    "Cast": _cast,
    "Identity": _identity,
    "Dropout": _identity,
}
"""Operators by name."""
