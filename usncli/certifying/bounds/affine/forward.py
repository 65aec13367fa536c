"""Forward passes: the enclosure of every node of a network over pieces of theta."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, fx

from usncli.certifying.bounds.affine.enclosure import Enclosure, flattened, with_directions
from usncli.certifying.bounds.affine.rules.table import apply_rule, sources_of
from usncli.certifying.bounds.affine.steps import Step
from usncli.certifying.bounds.method import Arithmetic


@dataclass(frozen=True)
class Settings:
    """How to run a forward pass.

    Attributes:
        keep: names of the nodes whose enclosures are held; the last node's always is.
        arithmetic: whose result is bounded.
        symbols: room for errors of activations to be kept apart, each as a direction of its own; 0 keeps none apart.
    """

    keep: Collection[str]
    arithmetic: Arithmetic
    symbols: int = 0


class TooManyErrorsError(Exception):
    """More errors are to be kept apart than there is room for."""


@dataclass
class State:
    """What a forward pass found.

    Attributes:
        enclosures: of the nodes that were to be kept, by name.
        narrowed: least and greatest values of nodes that are known better than by their enclosures.
        steps: what each node is, by name; the image has none.
        magnitudes: largest absolute value ``(pieces,)`` of each node that is read several times.
        directions: of all enclosures together; one that has fewer has slope 0 along the last.
    """

    enclosures: dict[str, Enclosure]
    narrowed: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)
    magnitudes: dict[str, Tensor] = field(default_factory=dict)
    directions: int = 0

    def take(self, pieces: Tensor) -> State:
        """Return the state of some pieces."""
        return State(
            {name: item.take(pieces) for name, item in self.enclosures.items()},
            {name: (lower[pieces], upper[pieces]) for name, (lower, upper) in self.narrowed.items()},
            {name: step.take(pieces) for name, step in self.steps.items()},
            {name: item[pieces] for name, item in self.magnitudes.items()},
            self.directions,
        )


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
    state = State({nodes[0].name: image}, directions=image.slopes.shape[1])
    if _meets_itself(nodes[0]):
        state.magnitudes[nodes[0].name] = image.magnitude()
    _run(network, nodes[1:], state, settings)
    return state


def propagate_after(network: fx.GraphModule, name: str, state: State, settings: Settings) -> None:
    """Bound again, in place, every node that a changed node reaches; the nodes that those read have to be held."""
    changed, later = {name}, []
    for node in network.graph.nodes:
        if node.op != "output" and any(source.name in changed for source in node.all_input_nodes):
            changed.add(node.name)
            later.append(node)
    _run(network, later, state, replace(settings, symbols=0))


def _run(network: fx.GraphModule, nodes: Sequence[fx.Node], state: State, settings: Settings) -> None:
    last_use = {source: node for node in nodes for source in node.all_input_nodes}
    for node in nodes:
        result = apply_rule(network, node, state.enclosures, state.narrowed, settings.arithmetic)
        enclosure = result.enclosure
        if result.error is not None and settings.symbols:
            enclosure = with_symbols(enclosure, result.error, state.directions, settings.symbols)
        elif result.error is not None:
            enclosure = enclosure._replace(radius=enclosure.radius + result.error)
        state.directions = max(state.directions, enclosure.slopes.shape[1])
        state.steps[node.name] = result.step
        state.enclosures[node.name] = enclosure
        if _meets_itself(node):
            state.magnitudes[node.name] = enclosure.magnitude()
        for source in node.all_input_nodes:
            if last_use[source] is node and source.name not in settings.keep:
                state.enclosures.pop(source.name, None)


def _meets_itself(node: fx.Node) -> bool:
    """Say whether a node is read several times, so that backward passes add up what comes back to it."""
    return sum(sources_of(user).count(node.name) for user in node.users) > 1


def with_symbols(enclosure: Enclosure, own: Tensor, directions: int, most: int) -> Enclosure:
    """Add an error radius to an enclosure, each error as a direction of its own.

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
