"""Walk an ONNX graph and look each operator up in the tables."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, fx

from usncli.errors import InputError, UnsupportedOperationError
from usncli.loading.graph_passes import LiftedGraph
from usncli.loading.onnx_reading.builder import BATCH, Builder, OnnxCall, Value, shape
from usncli.loading.onnx_reading.layers import LAYERS
from usncli.loading.onnx_reading.pointwise import POINTWISE
from usncli.loading.onnx_reading.shapes import SHAPES

_OPERATORS = {**LAYERS, **POINTWISE, **SHAPES}
_DOMAINS = ("", "ai.onnx")


def read_onnx_graph(model: onnx.ModelProto, input_shape: tuple[int, ...], batch: int | None) -> LiftedGraph:
    """Build the graph of ATen calls that an ONNX model computes.

    Args:
        model: with all tensors loaded.
        input_shape: ``(channels, height, width)``.
        batch: the batch size that the model is written for, None where it takes any.

    Raises:
        UnsupportedOperationError: an operator that is not in the tables, or used in a way that is not.
        InputError: the graph refers to values that it does not define.
    """
    _check_operators(model.graph.node)
    opset = next((item.version for item in model.opset_import if item.domain in _DOMAINS), 0)
    builder = Builder(input_shape)
    values: dict[str, Value | None] = {"": None}
    values |= {item.name: builder.remember(item.name, _to_tensor(item)) for item in model.graph.initializer}
    image_name = next(item.name for item in model.graph.input if item.name not in values)
    values[image_name] = builder.images
    for node in model.graph.node:
        call = _look_up(node, values, opset)
        builder.layer = call.layer
        if node.op_type == "Reshape" and batch is not None:
            call = _free_batch(call, batch)
        results = _OPERATORS[node.op_type](builder, call)
        values |= dict(zip(node.output, results if isinstance(results, tuple) else (results,), strict=False))
    output = values.get(model.graph.output[0].name)
    if not isinstance(output, fx.Node):
        raise InputError("its output does not depend on the image")
    return builder.finish(output)


def _check_operators(nodes: Sequence[onnx.NodeProto]) -> None:
    unknown = [node for node in nodes if node.op_type not in _OPERATORS or node.domain not in _DOMAINS]
    if unknown:
        kinds = sorted({f"{node.domain}.{node.op_type}".lstrip(".") for node in unknown})
        names = [f"{node.name or 'graph'} ({node.op_type})" for node in unknown]
        raise UnsupportedOperationError(
            f"ONNX operators that usn cannot capture: {', '.join(kinds[:8])}; replace them, or give the network as a "
            "torch.export program",
            names,
        )


def _look_up(node: onnx.NodeProto, values: dict[str, Value | None], opset: int) -> OnnxCall:
    missing = [name for name in node.input if name not in values]
    if missing:
        raise InputError(f"its node {node.name[:60]!r} uses the value {missing[0][:60]!r}, which nothing defines")
    return OnnxCall(
        operation=node.op_type,
        layer=_layer(node),
        inputs=tuple(values[name] for name in node.input),
        names=tuple(node.input),
        attributes={item.name: _attribute(item) for item in node.attribute},
        opset=opset,
        outputs=sum(1 for name in node.output if name),
    )


def _layer(node: onnx.NodeProto) -> str:
    """Return the layer that a node's name tells: ``/layer1/conv/Conv`` is a call in ``layer1.conv``."""
    parts = [part for part in node.name.split("/") if part]
    if len(parts) > 1 and parts[-1].rstrip("_0123456789") == node.op_type:
        parts = parts[:-1]
    # Exporters repeat the path: /layer1/layer1.0/layer1.0.conv1 is layer1.0.conv1.
    kept = [part for part, after in itertools.pairwise([*parts, ""]) if not after.startswith(f"{part}.")]
    return re.sub(r"[^\w.]", "_", ".".join(kept), flags=re.ASCII)


def _attribute(attribute: onnx.AttributeProto) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, onnx.TensorProto):
        return _to_tensor(value)
    return list(value) if attribute.type in (onnx.AttributeProto.INTS, onnx.AttributeProto.FLOATS) else value


def _to_tensor(proto: onnx.TensorProto) -> Tensor:
    return torch.from_numpy(np.array(numpy_helper.to_array(proto)))


def _free_batch(call: OnnxCall, batch: int) -> OnnxCall:
    """Read the size that a model for one batch size writes first as the batch, where that is what is reshaped."""
    sizes, value = call.optional(1), call.optional(0)
    if not isinstance(sizes, Tensor) or not isinstance(value, fx.Node) or sizes.numel() == 0:
        return call
    if int(sizes[0]) != batch or shape(value)[:1] != (BATCH,):
        return call
    freed = torch.cat([torch.tensor([BATCH], dtype=sizes.dtype), sizes[1:]])
    return call._replace(inputs=(value, freed, *call.inputs[2:]))
