"""The rule of every operation."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import fx

from usncli.bounding.affine.rules.affine import affine, concatenation, signed_sum
from usncli.bounding.affine.rules.elementwise import activation, product
from usncli.bounding.affine.rules.maxima import maximum_over_windows
from usncli.bounding.affine.rules.operation import Operation, Result, Rule
from usncli.bounding.affine.state import State
from usncli.bounding.method import Arithmetic
from usncli.bounding.rewriting.activation import Activation
from usncli.bounding.rewriting.builder import ADD, CONCATENATE, SUBTRACT
from usncli.bounding.rewriting.combining import MaximumOverWindows, Product
from usncli.bounding.rewriting.linear_maps import LinearMap

LAYER_RULES: Mapping[type, Rule] = {
    LinearMap: affine,
    Activation: activation,
    Product: product,
    MaximumOverWindows: maximum_over_windows,
}
"""Rule of each kind of module; a subclass has its base's."""
FUNCTION_RULES: Mapping[object, Rule] = {
    ADD: partial(signed_sum, sign=1.0),
    SUBTRACT: partial(signed_sum, sign=-1.0),
    CONCATENATE: concatenation,
}
"""Rule of each function."""


def apply_rule(
    network: fx.GraphModule,
    node: fx.Node,
    state: State,
    arithmetic: Arithmetic,
) -> Result:
    """Bound one node from what is known of its sources."""
    layer = network.get_submodule(str(node.target)) if node.op == "call_module" else None
    if layer is None:
        rule = FUNCTION_RULES[node.target]
    else:
        rule = next(LAYER_RULES[base] for base in type(layer).__mro__ if base in LAYER_RULES)
    sources = sources_of(node)
    operation = Operation(
        sources,
        tuple(state.enclosures[name] for name in sources),
        state.intervals.get(sources[0]),
        sources[0] in state.refined,
        tuple(state.largest.get(name) for name in sources),
        layer,
        tuple(node.args),
        arithmetic,
    )
    return rule(operation)


def sources_of(node: fx.Node) -> tuple[str, ...]:
    """Return the names of the nodes that a node reads, in the order of its arguments, one that it reads twice twice."""
    sources: list[str] = []
    fx.node.map_arg(node.args, lambda source: sources.append(source.name))
    return tuple(sources)
