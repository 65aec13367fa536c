"""Drop where and how tensors lie in memory: a captured network runs on whatever device its images are on."""

from __future__ import annotations

import torch
from torch import Tensor, fx

from usncli.loading.operations import bind, is_op

_aten = torch.ops.aten
_PLACEMENT = ("device", "layout", "pin_memory", "memory_format")
_CONVERSIONS = (_aten._to_copy.default, _aten.to.device, _aten.to.dtype_layout, _aten.to.other, _aten.type_as.default)


def drop_placement(graph: fx.Graph) -> None:
    """Remove arguments that name a device or a memory layout, and write conversions by their type alone, in place."""
    for node in graph.nodes:
        if node.op != "call_function":
            continue
        value = node.meta.get("val")
        if is_op(node, *_CONVERSIONS) and isinstance(value, Tensor):
            source = bind(node).get("self")
            node.target = _aten.to.dtype
            node.args, node.kwargs = (source, value.dtype), {}
        else:
            node.kwargs = {name: item for name, item in node.kwargs.items() if name not in _PLACEMENT}
