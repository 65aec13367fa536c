"""From an exported graph to a captured network: the passes, in the one order in which they work."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import torch
from torch import fx
from torch._ops import OpOverload

from usncli.errors import UnsupportedOperationError
from usncli.loading.constants import fold_constants
from usncli.loading.emission import LiftedTensor, emit
from usncli.loading.fake_values import has_any_batch, propagate
from usncli.loading.functional import functionalise
from usncli.loading.operations import is_op, is_permitted, layer_name
from usncli.loading.placement import drop_placement
from usncli.loading.recompose import recompose
from usncli.loading.shapes import make_sizes_flexible, remove_identities, shape_of

_aten = torch.ops.aten
_SIZE_ARITHMETIC = (operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod, operator.neg)
_EXAMPLE_BATCH = 2


class LiftedGraph(NamedTuple):
    """A graph of ATen calls whose parameters, buffers and constants are placeholders.

    Attributes:
        graph: the calls; nodes hold their example value in ``meta["val"]`` and the user's layer in ``meta["layer"]``.
        lifted: the tensor behind each placeholder but the input.
        images: the placeholder of the input, ``(batch, channels, height, width)``.
    """

    graph: fx.Graph
    lifted: dict[fx.Node, LiftedTensor]
    images: fx.Node


def build_network(source: LiftedGraph) -> fx.GraphModule:
    """Turn a graph into a captured network, in evaluation mode, for any batch size.

    Args:
        source: owned by the result afterwards.

    Raises:
        UnsupportedOperationError: see `capture.capture`.
    """
    graph, lifted, images = source
    _check_calls(graph)
    functionalise(graph)
    drop_placement(graph)
    remove_identities(graph)
    if not has_any_batch(images):
        _free_batch(source)
    recompose(graph, lifted)
    fold_constants(graph, lifted)
    make_sizes_flexible(graph, images)
    network = emit(graph, lifted)
    _check_operations(network)
    return network.eval()


def _check_calls(graph: fx.Graph) -> None:
    for node in graph.nodes:
        known = isinstance(node.target, OpOverload) or node.target is operator.getitem or _is_arithmetic(node)
        if (node.op == "call_function" and not known) or node.op in ("call_module", "call_method"):
            name = getattr(node.target, "__name__", None) or str(node.target)
            raise UnsupportedOperationError(
                f"{layer_name(node)} uses {name}, which cannot be captured; look for control flow or a change of "
                "gradient mode in its forward",
                [layer_name(node)],
            )


def _is_arithmetic(node: fx.Node) -> bool:
    """Say whether a node computes with sizes; assertions about them go away by themselves."""
    return node.target in _SIZE_ARITHMETIC or not node.users or isinstance(node.meta.get("val"), (int, torch.SymInt))


def _check_operations(network: fx.GraphModule) -> None:
    unknown = [node for node in network.graph.nodes if node.op == "call_function" and not _is_known(node.target)]
    if unknown:
        names = [layer_name(node) for node in unknown]
        raise UnsupportedOperationError(
            f"operations that usn cannot keep: {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}; replace them "
            "by operations without side effects or randomness",
            names,
        )


def _is_known(target: Any) -> bool:
    return target is operator.getitem or is_permitted(target)


def _free_batch(source: LiftedGraph) -> None:
    """Let a graph that was exported for one batch size take any.

    Sizes of images' reshapes that begin with that batch size are taken to be it.
    """
    graph, lifted, images = source
    batch = int(images.meta["val"].shape[0])
    follows = {images}
    with graph.inserting_after(images):
        size = graph.call_function(_aten.sym_size.int, (images, 0))
    for node in list(graph.nodes):
        if node is not size and any(argument in follows for argument in node.all_input_nodes):
            follows.add(node)
            if is_op(node, *_WITH_SIZES):
                _replace_batch(node, batch, size)
    shape = (_EXAMPLE_BATCH, *images.meta["val"].shape[1:])
    propagate(graph, {node: item.tensor for node, item in lifted.items()}, images, shape, any_batch=True)
    if not has_any_batch(images):
        raise UnsupportedOperationError(
            f"the program was exported for a batch of {batch} and cannot take another; export it with a dynamic batch "
            "(dynamic_shapes={0: torch.export.Dim('batch')})"
        )


_WITH_SIZES = (_aten.view.default, _aten.reshape.default, _aten._unsafe_view.default, _aten.expand.default)


def _replace_batch(node: fx.Node, batch: int, size: fx.Node) -> None:
    source, sizes = node.args[0], node.args[1]
    assert isinstance(source, fx.Node)
    if isinstance(sizes, (list, tuple)) and sizes and sizes[0] == batch and shape_of(source)[:1] == (batch,):
        node.args = (source, [size, *sizes[1:]], *node.args[2:])
