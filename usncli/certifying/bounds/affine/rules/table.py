"""The rule of every operation."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor, fx

from usncli.certifying.bounds.affine.enclosure import Enclosure
from usncli.certifying.bounds.affine.rules.affine import affine, concatenation, signed_sum
from usncli.certifying.bounds.affine.rules.elementwise import activation, product
from usncli.certifying.bounds.affine.rules.maxima import maximum_over_windows
from usncli.certifying.bounds.affine.rules.operation import Operation, Result, Rule
from usncli.certifying.bounds.method import Arithmetic
from usncli.certifying.rewriting.activation import Activation
from usncli.certifying.rewriting.builder import ADD, CONCATENATE, SUBTRACT
from usncli.certifying.rewriting.combining import MaximumOverWindows, Product
from usncli.certifying.rewriting.linear_maps import LinearMap

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
    enclosures: Mapping[str, Enclosure],
    narrowed: Mapping[str, tuple[Tensor, Tensor]],
    arithmetic: Arithmetic,
) -> Result:
    """Bound one node from the enclosures of its sources, and intervals that are narrower than those."""
    layer = network.get_submodule(str(node.target)) if node.op == "call_module" else None
    if layer is None:
        rule = FUNCTION_RULES[node.target]
    else:
        rule = next(LAYER_RULES[base] for base in type(layer).__mro__ if base in LAYER_RULES)
    sources = sources_of(node)
    inputs = tuple(enclosures[name] for name in sources)
    return rule(Operation(sources, inputs, narrowed.get(sources[0]), layer, tuple(node.args), arithmetic))


def sources_of(node: fx.Node) -> tuple[str, ...]:
    """Return the names of the nodes that a node reads, in the order of its arguments, one that it reads twice twice."""
    sources: list[str] = []
    fx.node.map_arg(node.args, lambda source: sources.append(source.name))
    return tuple(sources)
