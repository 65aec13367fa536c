"""What passes over a network cost, and where a backward pass may stop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from usncli.bounding.rewriting.activation import Activation
from usncli.bounding.rewriting.combining import MaximumOverWindows, Product
from usncli.bounding.rewriting.linear_maps import Convolution, Linear, LinearMap, TransposedConvolution
from usncli.bounding.rewriting.origins import layer_of

NONLINEAR = (Activation, Product, MaximumOverWindows)
"""What is relaxed."""


@dataclass(frozen=True)
class Plan:
    """The nodes of a network, in order, and figures of each.

    Attributes:
        nodes: names; the first is the image.
        sizes: values of each node for one image.
        costs: multiply-adds from the image up to and with each node, for one image; a node without weights counts a few
            a value.
        stops: positions in ``nodes``, falling: before the node there, an activation, a backward pass may stop.
        borders: names of the nodes that the rest of the network reads across some stop, or across a place from which on
            it may be bounded again: before the first reader of what an activation reads.
        read: names of the nodes that activations read, each with the user's layer that makes it, in order.
        activations: number of values that activations read, by the same layers.
    """

    nodes: tuple[str, ...]
    sizes: Mapping[str, int]
    costs: Mapping[str, float]
    stops: tuple[int, ...]
    borders: frozenset[str]
    read: Mapping[str, str]
    activations: Mapping[str, int]

    def cost(self, target: str, stop: int) -> float:
        """Return the multiply-adds of carrying one row from a target back to before a stop."""
        return self.costs[target] - self.costs[self.nodes[stop - 1]]

    def stops_before(self, target: str) -> list[int]:
        """Return the stops for rows of a target, nearest first; the last is the image."""
        position = self.nodes.index(target)
        return [stop for stop in self.stops if stop <= position]

    @property
    def whole(self) -> float:
        """Multiply-adds of a pass over one image."""
        return self.costs[self.nodes[-1]]


def make_plan(network: fx.GraphModule, example: Tensor) -> Plan:
    """Measure a rewritten network.

    Args:
        network: in float64.
        example: ``(1, channels, height, width)``.
    """
    interpreter = fx.Interpreter(network, garbage_collect_values=False)
    with torch.no_grad():
        interpreter.run(example)
    nodes = [node for node in network.graph.nodes if node.op != "output"]
    sizes = {node.name: int(interpreter.env[node].numel()) for node in nodes}
    costs, total = {}, 0.0
    for node in nodes:
        total += _cost(network, node, sizes)
        costs[node.name] = total
    nonlinear = [nodes.index(node) for node in nonlinear_nodes(network)]
    inputs = [source for position in nonlinear for source in nodes[position].all_input_nodes]
    read, activations = dict.fromkeys(inputs), Counter[str]()
    for source in inputs:
        activations[layer_of(source)] += sizes[source.name]
    again = {min(nodes.index(reader) for reader in source.users if reader.op != "output") for source in read}
    stops = tuple(reversed([1, *(position for position in nonlinear if position > 1)]))
    return Plan(
        tuple(node.name for node in nodes),
        sizes,
        costs,
        stops,
        frozenset(name for place in {*stops, *again} for name in _border(nodes, place)),
        {source.name: layer_of(source) for source in read},
        activations,
    )


def nonlinear_nodes(network: fx.GraphModule) -> list[fx.Node]:
    """Return the nodes of a rewritten network that are relaxed, in order."""
    modules = [node for node in network.graph.nodes if node.op == "call_module"]
    return [node for node in modules if isinstance(network.get_submodule(str(node.target)), NONLINEAR)]


def _border(nodes: list[fx.Node], stop: int) -> set[str]:
    before = set(nodes[:stop])
    return {source.name for node in nodes[stop:] for source in node.all_input_nodes if source in before}


def _cost(network: fx.GraphModule, node: fx.Node, sizes: Mapping[str, int]) -> float:
    layer = network.get_submodule(str(node.target)) if node.op == "call_module" else None
    if isinstance(layer, Convolution | Linear):
        return float(sizes[node.name] * layer.weight[0].numel())
    if isinstance(layer, TransposedConvolution):
        return float(sizes[node.all_input_nodes[0].name] * layer.weight[0].numel())
    if isinstance(layer, LinearMap) and not layer.terms:
        return 0.0
    return 4.0 * sizes[node.name]
