"""Which of the user's layers make what a node of a rewritten network reads."""

from __future__ import annotations

from torch import fx

from usncli.bounding.rewriting.activation import Activation
from usncli.bounding.rewriting.builder import ADD, SUBTRACT
from usncli.bounding.rewriting.combining import MaximumOverWindows, Product
from usncli.bounding.rewriting.linear_maps import ScaleShift

IMAGE = "image"
"""Stands for the layer where the image itself is read."""

KEEPING = (Activation, MaximumOverWindows, Product, ScaleShift)
"""Layers each channel of whose result comes from the same channel of what they read."""


def layer_of(node: fx.Node) -> str:
    """Return the name of the user's layer that makes a node of a rewritten network; `IMAGE` for its input."""
    return IMAGE if node.op == "placeholder" else str(node.meta["layer"])


def layers_read(network: fx.GraphModule, node: fx.Node) -> tuple[str, ...]:
    """Return the names of the layers whose channels are those that a node reads, nearest first, each once.

    Sums, activations and poolings in between keep channels apart, so that all layers on the way back to the ones that
    mix channels are named.

    Args:
        network: a rewritten network.
        node: one of its nodes.
    """
    found: dict[str, None] = {}
    waiting, seen = list(node.all_input_nodes), set[fx.Node]()
    while waiting:
        source = waiting.pop(0)
        if source in seen or source.op == "placeholder":
            continue
        seen.add(source)
        found[layer_of(source)] = None
        layer = network.get_submodule(str(source.target)) if source.op == "call_module" else None
        if source.target in (ADD, SUBTRACT) or isinstance(layer, KEEPING):
            waiting.extend(source.all_input_nodes)
    return tuple(found)
