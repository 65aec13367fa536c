"""Forward passes: the enclosure of every node of a network over pieces of theta."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, fx

from usncli.bounding.affine.enclosure import Enclosure, flattened, length_of, with_directions
from usncli.bounding.affine.rules.table import apply_rule, sources_of
from usncli.bounding.affine.state import State
from usncli.bounding.method import Arithmetic

SMALL = 8.0
"""Errors of at most so many times a piece's largest radius are not kept apart."""


@dataclass(frozen=True)
class Settings:
    """How to run a forward pass.

    Attributes:
        keep: names of the nodes whose enclosures are held; the last node's always is.
        read: names of the nodes that activations read, whose intervals are held.
        arithmetic: whose result is bounded.
        symbols: room for errors of activations to be kept apart, each as a direction of its own; 0 keeps none apart.
    """

    keep: Collection[str]
    read: Collection[str]
    arithmetic: Arithmetic
    symbols: int = 0


class TooManyErrorsError(Exception):
    """More errors are to be kept apart than there is room for."""


def propagate(network: fx.GraphModule, image: Enclosure, settings: Settings) -> State:
    """Bound every node over pieces.

    Args:
        network: what to bound, in float64.
        image: enclosure of its input.
        settings: what to keep, and how.

    Returns:
        The state; an enclosure that is not a number stays so and proves nothing.

    Raises:
        TooManyErrorsError: there are more errors than symbols.
    """
    nodes = [node for node in network.graph.nodes if node.op != "output"]
    state = State({}, directions=image.slopes.shape[1])
    _remember(state, nodes[0], image, settings)
    _run(network, nodes[1:], state, settings)
    return state


def propagate_after(network: fx.GraphModule, name: str, state: State, settings: Settings) -> None:
    """Bound again, in place, every node from the first that reads a changed node on; what they read has to be held."""
    nodes = [node for node in network.graph.nodes if node.op != "output"]
    first = next(place for place, node in enumerate(nodes) if name in {source.name for source in node.all_input_nodes})
    _run(network, nodes[first:], state, replace(settings, symbols=0))


def _run(network: fx.GraphModule, nodes: Sequence[fx.Node], state: State, settings: Settings) -> None:
    last_use = {source: node for node in nodes for source in node.all_input_nodes}
    for node in nodes:
        result = apply_rule(network, node, state, settings.arithmetic)
        enclosure = result.enclosure
        if result.error is not None and settings.symbols:
            enclosure = with_symbols(enclosure, result.error, state.directions, settings.symbols)
        elif result.error is not None:
            enclosure = with_errors(enclosure, result.error)
        state.directions = max(state.directions, enclosure.slopes.shape[1])
        state.steps[node.name] = result.step
        state.largest.pop(node.name, None)
        if result.largest is not None:
            state.largest[node.name] = result.largest
        _remember(state, node, enclosure, settings)
        for source in node.all_input_nodes:
            if last_use[source] is node and source.name not in settings.keep:
                state.enclosures.pop(source.name, None)


def _remember(state: State, node: fx.Node, enclosure: Enclosure, settings: Settings) -> None:
    """Hold a node's enclosure, and what the rest of the network needs of it."""
    state.enclosures[node.name] = enclosure
    if node.name in settings.read:
        state.intervals[node.name] = enclosure.interval()
        state.refined.discard(node.name)
    if _meets_itself(node):
        state.magnitudes[node.name] = enclosure.magnitude()


def _meets_itself(node: fx.Node) -> bool:
    """Say whether a node is read several times, so that backward passes add up what comes back to it."""
    return sum(sources_of(user).count(node.name) for user in node.users) > 1


def with_errors(enclosure: Enclosure, own: Tensor) -> Enclosure:
    """Add an error radius ``(pieces, *shape)`` to an enclosure."""
    length = None if enclosure.length is None else enclosure.length + length_of(own)
    return enclosure._replace(radius=enclosure.radius + own, length=length)


def with_symbols(enclosure: Enclosure, own: Tensor, directions: int, most: int) -> Enclosure:
    """Add an error radius to an enclosure, each error as a direction of its own.

    Errors about as small as what is in the radius anyway stay there: where a picture is flat, all windows of a maximum
    have ties, whose errors are nothing but rounding, and there are thousands of them.

    Kept as a direction e in [-1, 1] with the error as slope, an error passes later layers like theta does and cancels
    where it meets itself; as radius it would grow by |W| in every layer. Directions are numbered over the whole
    network: new ones come after all that any node has, so that no two errors share one.

    Args:
        enclosure: without the error.
        own: ``(pieces, *shape)``, at least 0.
        directions: that there are so far, in the whole network.
        most: directions that there may be.

    Raises:
        TooManyErrorsError: there would be more.
    """
    floor = flattened(enclosure.radius, 1).amax(dim=1).view(-1, *[1] * (own.dim() - 1))
    small = own <= SMALL * floor
    if bool((small & (own != 0)).any()):
        enclosure, own = with_errors(enclosure, torch.where(small, own, 0.0)), torch.where(small, 0.0, own)
    flat = flattened(own, 1)
    # An error that is not a number counts, so that it is never dropped.
    count = int((flat != 0).sum(dim=1).max())
    if not count:
        return enclosure
    if directions + count > most:
        raise TooManyErrorsError
    errors, where = flat.topk(count, dim=1)
    new = flat.new_zeros(len(flat), count, flat.shape[1]).scatter_(2, where.unsqueeze(2), errors.unsqueeze(2))
    old = with_directions(enclosure.slopes, directions)
    return enclosure._replace(slopes=torch.cat([old, new.view(len(flat), count, *own.shape[1:])], dim=1))
