"""Where a backward pass may stop: nodes that separate the outputs from the image, and what it costs to go there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

import torch
from torch import Tensor, fx

from usncli.bounding.rewriting.activation import Activation
from usncli.bounding.rewriting.linear_maps import TransposedConvolution, Weighted
from usncli.bounding.rewriting.origins import layer_of
from usncli.loading.operations import module_of


class Cut(NamedTuple):
    """A separating set of nodes.

    Attributes:
        names: the nodes, by name.
        inside: names of the ReLUs between the cut and the outputs, each with the user's layer that it reads, in order.
        cost: multiply-adds of one pass from the cut to the outputs, for one image.
        held: values that a backward pass holds at once for one row of one image.
        values: values of all nodes between the cut and the outputs, for one image.
        relus: how many of them are of ReLUs, by the same layers.
    """

    names: tuple[str, ...]
    inside: Mapping[str, str]
    cost: float
    held: int
    values: int
    relus: Mapping[str, int]


def find_cuts(network: fx.GraphModule, example: Tensor) -> tuple[Cut, ...]:
    """List the cuts just before each ReLU, from the outputs towards the image, and last the image itself.

    Args:
        network: a rewritten network.
        example: ``(1, channels, height, width)``.
    """
    interpreter = fx.Interpreter(network, garbage_collect_values=False)
    with torch.no_grad():
        interpreter.run(example)
    nodes = [node for node in network.graph.nodes if node.op != "output"]
    sizes = {node: interpreter.env[node].numel() for node in nodes}
    costs = {node: _cost(network, node, sizes) for node in nodes}
    relus = {node for node in nodes if isinstance(module_of(network, node), Activation)}
    starts = [position for position, node in enumerate(nodes) if node in relus]
    return tuple(_cut(nodes[start:], relus, sizes, costs) for start in [*reversed(starts), 1])


def _cut(
    after: Sequence[fx.Node],
    every_relu: Set[fx.Node],
    sizes: Mapping[fx.Node, int],
    costs: Mapping[fx.Node, float],
) -> Cut:
    relus = {node: layer_of(node.all_input_nodes[0]) for node in after if node in every_relu}
    by_layer = Counter[str]()
    for node, layer in relus.items():
        by_layer[layer] += sizes[node]
    inside = set(after)
    border = {source for node in after for source in node.all_input_nodes if source not in inside}
    return Cut(
        tuple(sorted(node.name for node in border)),
        {node.name: layer for node, layer in relus.items()},
        sum(costs[node] for node in after),
        sum(sizes[node] for node in relus) + 3 * max(sizes[node] for node in [*after, *border]),
        sum(sizes[node] for node in after),
        by_layer,
    )


def _cost(network: fx.GraphModule, node: fx.Node, sizes: Mapping[fx.Node, int]) -> float:
    """Return the multiply-adds of a node; the nodes without weights count a few a value."""
    layer = module_of(network, node)
    if isinstance(layer, Weighted):
        values = sizes[node.all_input_nodes[0]] if isinstance(layer, TransposedConvolution) else sizes[node]
        return float(values * (layer.weight.numel() / layer.weight.shape[0]))
    return 4.0 * sizes[node]
