"""From torch-pruning's groups to channels: which indices of which parameters belong to one channel.

torch-pruning reports, for each root channel, the index that it reaches in every layer. Root channels that reach the
same index, or the same slot of a grouped convolution, can only be cut together and become one channel here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import nn

from usncli.scoring import problems
from usncli.scoring.problems import Problem
from usncli.scoring.tracing import TracedNetwork, is_depthwise, is_producer


class ChannelSlices(NamedTuple):
    """Indices of every channel of a group along one axis of one layer.

    Attributes:
        module: the layer's name.
        side: ``out`` or ``in``.
        indices: for every channel, its indices.
    """

    module: str
    side: str
    indices: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Coupling:
    """One group, prunable or not.

    Attributes:
        name: name of the root layer, the first in network order that makes these channels.
        roots: for every channel, its indices among the root layer's outputs.
        slices: parameters of the channels, in network order; empty if there is a problem.
        outputs: where the channels' pre-activations are read; empty if there is a problem.
        layers: names of every layer concerned.
        problem: why the group cannot be cut; None if it can.
    """

    name: str
    roots: tuple[tuple[int, ...], ...]
    slices: tuple[ChannelSlices, ...]
    outputs: tuple[ChannelSlices, ...]
    layers: tuple[str, ...]
    problem: Problem | None


class _Item(NamedTuple):
    """What torch-pruning reports for one layer and side: pairs of an index and the root channel that reaches it."""

    node: Any
    side: str
    pairs: tuple[tuple[int, int], ...]


def couple(traced: TracedNetwork) -> tuple[Coupling, ...]:
    """Return every group of coupled channels in network order, each channel of each producer in exactly one."""
    couplings = []
    claimed: dict[nn.Module, set[int]] = {}
    for module in traced.names:
        if not is_producer(module) or module not in traced.graph.module2node:
            continue
        free = [index for index in range(_width(module, "out")) if index not in claimed.get(module, set())]
        if not free:
            continue
        items = _items(traced, module, free)
        for item in items:
            if is_producer(item.node.module) and item.side == "out":
                claimed.setdefault(item.node.module, set()).update(index for index, _ in item.pairs)
        couplings.append(_coupling(traced, module, free, items))
    return _without_overlaps(couplings)


def _items(traced: TracedNetwork, root: nn.Module, channels: list[int]) -> list[_Item]:
    graph = traced.graph
    group = graph.get_pruning_group(root, graph.get_pruner_of_module(root).prune_out_channels, channels)
    items = []
    for item in group:
        module = item.dep.target.module
        consumes = is_producer(module) and not is_depthwise(module) and item.dep.handler.__name__ == "prune_in_channels"
        pairs = tuple(zip(item.idxs, item.root_idxs, strict=True))
        items.append(_Item(item.dep.target, "in" if consumes else "out", pairs))
    return items


def _coupling(traced: TracedNetwork, root: nn.Module, channels: list[int], items: list[_Item]) -> Coupling:
    order = {module: position for position, module in enumerate(traced.names)}
    layered = sorted(
        (item for item in items if item.node.module in order and _holds_channels(item.node.module)),
        key=lambda item: (order[item.node.module], item.side),
    )
    layers = tuple(dict.fromkeys(traced.names[item.node.module] for item in layered))
    problem = _problem(items)
    roots = _merge(channels, layered)
    if not problem and any(_torn(item, roots) for item in layered):
        problem = problems.TORN
    if problem:
        return Coupling(traced.names[root], roots, (), (), layers, problem)
    slices = tuple(_slices(traced, item, roots) for item in layered)
    made = [item for item in layered if item.side == "out" and is_producer(item.node.module)]
    outputs = tuple(_slices(traced, item._replace(node=_scored_node(item.node)), roots) for item in made)
    return Coupling(traced.names[root], roots, slices, outputs, layers, None)


def _holds_channels(module: nn.Module) -> bool:
    return not (isinstance(module, nn.PReLU) and module.num_parameters == 1)


def _problem(items: list[_Item]) -> Problem | None:
    """Return why the channels cannot be cut one by one, or None."""
    for item in items:
        module = item.node.module
        if item.side == "out" and not item.node.outputs:
            return problems.OUTPUTS
        if isinstance(module, nn.Parameter):
            return problems.PARAMETER
        if isinstance(module, nn.modules.conv._ConvNd) and module.groups > 1 and not is_depthwise(module):
            if module.transposed or 1 in (module.in_channels // module.groups, module.out_channels // module.groups):
                return problems.without_spare_channels(module.groups)
        elif is_producer(module) or isinstance(module, nn.PReLU):
            pass
        elif _is_library_operation(module):
            continue
        elif not isinstance(module, nn.modules.batchnorm._BatchNorm | nn.modules.instancenorm._InstanceNorm):
            return problems.mixing(type(module).__name__)
        if _holds_channels(module) and any(index >= _width(module, item.side) for index, _ in item.pairs):
            return problems.beyond(type(module).__name__)
    return None


def _is_library_operation(module: nn.Module) -> bool:
    """Whether a node is torch-pruning's stand-in for an operation without parameters, such as a sum."""
    return type(module).__module__.startswith("torch_pruning")


def _width(module: nn.Module, side: str) -> int:
    """Return how many channels a layer has on one side."""
    attributes = (
        ("in_channels", "in_features", "num_features", "num_parameters")
        if side == "in"
        else ("out_channels", "out_features", "num_features", "num_parameters")
    )
    return int(next(getattr(module, name) for name in attributes if hasattr(module, name)))


def _period(item: _Item) -> int:
    """Return after how many channels a layer's groups repeat: its width, unless it is a grouped convolution."""
    width, module = _width(item.node.module, item.side), item.node.module
    if isinstance(module, nn.modules.conv._ConvNd) and not is_depthwise(module):
        return width // int(module.groups)
    return width


def _merge(channels: list[int], items: Iterable[_Item]) -> tuple[tuple[int, ...], ...]:
    """Join root channels that reach the same slot of a layer, by union-find; channels keep the roots' order."""
    parent = {channel: channel for channel in channels}

    def find(channel: int) -> int:
        while parent[channel] != channel:
            channel = parent[channel]
        return channel

    for item in items:
        if not _is_supported(item.node.module):
            continue
        first: dict[int, int] = {}
        for index, root in item.pairs:
            other = first.setdefault(index % _period(item), root)
            low, high = sorted((find(other), find(root)))
            parent[high] = low
    merged: dict[int, list[int]] = {}
    for channel in channels:
        merged.setdefault(find(channel), []).append(channel)
    return tuple(tuple(roots) for roots in merged.values())


def _is_supported(module: nn.Module) -> bool:
    return isinstance(module, nn.PReLU | nn.modules.batchnorm._NormBase) or is_producer(module)


def _torn(item: _Item, roots: tuple[tuple[int, ...], ...]) -> bool:
    """Whether a channel holds a slot of some but not of all groups of a grouped convolution."""
    period = _period(item) if _is_supported(item.node.module) else 0
    repeats = _width(item.node.module, item.side) // period if period else 1
    if repeats == 1:
        return False
    reached = {index for index, _ in item.pairs}
    return len(reached) != repeats * len({index % period for index in reached})


def _slices(traced: TracedNetwork, item: _Item, roots: tuple[tuple[int, ...], ...]) -> ChannelSlices:
    channel_of = {root: channel for channel, group in enumerate(roots) for root in group}
    indices: list[set[int]] = [set() for _ in roots]
    modulo = _period(item) if item.side == "in" else _width(item.node.module, item.side)
    for index, root in item.pairs:
        indices[channel_of[root]].add(index % modulo)
    return ChannelSlices(
        traced.names[item.node.module], item.side, tuple(tuple(sorted(channel)) for channel in indices)
    )


def _scored_node(node: Any) -> Any:
    """Return the batch norm that alone consumes a producer's output, else the producer."""
    consumers = {id(consumer): consumer for consumer in node.outputs}
    (first, *others) = consumers.values()
    return first if not others and isinstance(first.module, nn.modules.batchnorm._BatchNorm) else node


def _without_overlaps(couplings: list[Coupling]) -> tuple[Coupling, ...]:
    """Mark groups that claim the same parameters: torch-pruning saw the coupling from one side only."""
    owners: dict[tuple[str, str, int], set[str]] = {}
    for coupling in couplings:
        for slices in coupling.slices:
            for indices in slices.indices:
                for index in indices:
                    owners.setdefault((slices.module, slices.side, index), set()).add(coupling.name)
    clashing = {name for names in owners.values() if len(names) > 1 for name in names}
    return tuple(
        Coupling(coupling.name, coupling.roots, (), (), coupling.layers, problems.ONE_WAY)
        if coupling.name in clashing
        else coupling
        for coupling in couplings
    )
