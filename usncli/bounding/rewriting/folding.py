"""Merges a scale and shift a channel, which is what batch norm is, into the layer before it; exact."""

from __future__ import annotations

from torch import fx, nn

from usncli.bounding.rewriting.linear_maps import ScaleShift, Weighted


def fold_scales(network: fx.GraphModule) -> None:
    """Merge, in place, every scale and shift whose input is a weighted layer that nothing else reads.

    The merged layer bears the name of the scale and shift, whose result it computes.
    """
    for node in list(network.graph.nodes):
        scale = _module(network, node)
        if not isinstance(scale, ScaleShift) or len(node.args[0].users) != 1:
            continue
        before = node.args[0]
        layer = _module(network, before)
        merged = layer.followed_by(scale) if isinstance(layer, Weighted) else None
        if merged is None:
            continue
        network.register_module(str(before.target), merged)
        before.meta["layer"] = node.meta["layer"]
        node.replace_all_uses_with(before)
        network.graph.erase_node(node)
    network.delete_all_unused_submodules()
    network.recompile()


def _module(network: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return network.get_submodule(str(node.target)) if node.op == "call_module" else None
