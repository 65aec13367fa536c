"""Put decomposed calls together again: what an exporter split, and what ONNX writes as matrix products."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import fx
from torch._ops import OpOverload

from usncli.loading.emission import LiftedTensor
from usncli.loading.operations import LIFTED, bind, is_op

_aten = torch.ops.aten
_TRANSPOSES = (_aten.t.default, _aten.permute.default, _aten.transpose.int)


def recompose(graph: fx.Graph, lifted: dict[fx.Node, LiftedTensor]) -> None:
    """Rewrite decomposed normalisations, pooling, SiLU and matrix products as the calls that layers make, in place.

    Args:
        graph: functional.
        lifted: the tensors behind placeholders; a transposed weight is added to it.
    """
    for node in list(graph.nodes):
        source: Any = node.args[0] if node.op == "call_function" and node.args else None
        if node.target is operator.getitem and node.args[1] == 0 and is_op(source, *_FIRST_RESULT):
            node.target, node.args = _FIRST_RESULT[source.target](bind(source))
        elif is_op(node, _aten.addmm.default, _aten.mm.default, _aten.matmul.default):
            _matrix_product(graph, node, lifted)
        elif is_op(node, _aten.mul.Tensor):
            _silu(node)
    _merge_biases(graph, lifted)


def _silu(node: fx.Node) -> None:
    """Make ``x * sigmoid(x)`` one call."""
    for value, gate in (node.args, node.args[::-1]):
        if isinstance(value, fx.Node) and is_op(gate, _aten.sigmoid.default) and gate.args[0] is value:  # type: ignore[union-attr]
            node.target, node.args = _aten.silu.default, (value,)
            return


def _matrix_product(graph: fx.Graph, node: fx.Node, lifted: dict[fx.Node, LiftedTensor]) -> None:
    bound = bind(node)
    bias = bound.get("self") if is_op(node, _aten.addmm.default) else None
    if bias is not None and (bound["beta"] != 1 or bound["alpha"] != 1 or bias.meta["val"].dim() != 1):
        return
    inputs = bound["mat1"] if bias is not None else bound["self"]
    right = bound["other"] if is_op(node, _aten.matmul.default) else bound["mat2"]
    weight = _transposed_weight(graph, right, lifted)
    if weight is not None:
        node.target = _aten.linear.default
        node.args, node.kwargs = (inputs, weight, bias) if bias is not None else (inputs, weight), {}


def _transposed_weight(graph: fx.Graph, right: fx.Node, lifted: dict[fx.Node, LiftedTensor]) -> fx.Node | None:
    """Return the weight of which ``right`` is the transpose; for a stored matrix, make it."""
    if right in lifted and lifted[right].tensor.dim() == 2:
        item = lifted[right]
        known = [node for node, other in lifted.items() if other.name == f"{item.name}_transposed"]
        if known:
            return known[0]
        with graph.inserting_before(right):
            node = graph.placeholder(f"{right.name}_transposed")
        tensor = item.tensor.detach().t().contiguous()
        lifted[node] = LiftedTensor(f"{item.name}_transposed", torch.nn.Parameter(tensor))
        node.meta.update({**right.meta, LIFTED: True, "val": right.meta["val"].t()})
        return node
    source = right.args[0] if is_op(right, *_TRANSPOSES) else None
    return source if isinstance(source, fx.Node) and source in lifted and lifted[source].tensor.dim() == 2 else None


def _merge_biases(graph: fx.Graph, lifted: Mapping[fx.Node, LiftedTensor]) -> None:
    """Make ``linear(x, weight) + bias`` one call."""
    for node in list(graph.nodes):
        if not is_op(node, _aten.add.Tensor) or bind(node)["alpha"] != 1:
            continue
        pairs = [(node.args[0], node.args[1]), (node.args[1], node.args[0])]
        for product, bias in pairs:
            if not is_op(product, _aten.linear.default) or len(product.users) != 1 or bias not in lifted:
                continue
            bound = bind(product)
            if bound["bias"] is None and tuple(bias.meta["val"].shape) == tuple(bound["weight"].meta["val"].shape[:1]):
                node.target, node.args, node.kwargs = _aten.linear.default, (bound["input"], bound["weight"], bias), {}
                break


def _batch_norm(bound: dict[str, Any]) -> tuple[OpOverload, tuple[Any, ...]]:
    tensors = [bound[name] for name in ("input", "weight", "bias", "running_mean", "running_var")]
    return _aten.batch_norm.default, (*tensors, False, bound["momentum"], bound["eps"], False)


def _layer_norm(bound: dict[str, Any]) -> tuple[OpOverload, tuple[Any, ...]]:
    return _aten.layer_norm.default, tuple(
        bound[name] for name in ("input", "normalized_shape", "weight", "bias", "eps")
    )


def _group_norm(bound: dict[str, Any]) -> tuple[OpOverload, tuple[Any, ...]]:
    return _aten.group_norm.default, tuple(bound[name] for name in ("input", "group", "weight", "bias", "eps"))


def _max_pool(bound: dict[str, Any]) -> tuple[OpOverload, tuple[Any, ...]]:
    names = ("self", "kernel_size", "stride", "padding", "dilation", "ceil_mode")
    return _aten.max_pool2d.default, tuple(bound[name] for name in names)


_FIRST_RESULT: Mapping[OpOverload, Callable[[dict[str, Any]], tuple[OpOverload, tuple[Any, ...]]]] = {
    _aten._native_batch_norm_legit_no_training.default: _batch_norm,
    _aten.native_layer_norm.default: _layer_norm,
    _aten.native_group_norm.default: _group_norm,
    _aten.max_pool2d_with_indices.default: _max_pool,
}
"""Calls of several results of which a network uses the first."""
