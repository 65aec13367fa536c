"""Compute once what does not depend on the images: position grids, masks, converted constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from usncli.loading.emission import LiftedTensor
from usncli.loading.operations import LIFTED


def fold_constants(graph: fx.Graph, lifted: dict[fx.Node, LiftedTensor]) -> None:
    """Replace calls that depend on buffers and numbers alone by their value, in place.

    What depends on a parameter stays, since it trains; what depends on the batch size stays too.

    Args:
        graph: functional; nodes hold their example value in ``meta["val"]``.
        lifted: the tensors behind placeholders; folded values that are still used are added to it.
    """
    values: dict[fx.Node, Any] = {
        node: item.tensor for node, item in lifted.items() if not isinstance(item.tensor, nn.Parameter)
    }
    for node in list(graph.nodes):
        if node.op == "call_function" and all(source in values for source in node.all_input_nodes):
            values[node] = _evaluate(node, values)
    for node in [node for node in values if node.op == "call_function"]:
        if isinstance(values[node], Tensor) and any(user not in values for user in node.users):
            _replace(graph, node, values[node], lifted)


def _evaluate(node: fx.Node, values: dict[fx.Node, Any]) -> Any:
    args, kwargs = fx.map_arg((node.args, node.kwargs), lambda argument: values[argument])
    call = cast(Callable[..., Any], node.target)
    with torch.no_grad():
        return call(*args, **kwargs)


def _replace(graph: fx.Graph, node: fx.Node, value: Tensor, lifted: dict[fx.Node, LiftedTensor]) -> None:
    first = next(iter(graph.nodes))
    with graph.inserting_before(first):
        placeholder = graph.placeholder(f"constant_{node.name}")
    placeholder.meta.update(node.meta)
    placeholder.meta[LIFTED] = True
    lifted[placeholder] = LiftedTensor(f"constants.{node.name}", value.detach().contiguous())
    node.replace_all_uses_with(placeholder)
