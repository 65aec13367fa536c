"""Merges a scale and shift a channel, which is what batch norm is, into the layer before it; exact."""

from __future__ import annotations

import copy
from typing import cast

from torch import Tensor, fx, nn

from usncli.certifying.rewriting.linear_maps import ScaleShift, Weighted


def fold_scales(network: fx.GraphModule) -> None:
    """Merge, in place, every scale and shift whose input is a weighted layer that nothing else reads."""
    for node in list(network.graph.nodes):
        scale = _module(network, node)
        if not isinstance(scale, ScaleShift) or len(node.args[0].users) != 1:
            continue
        before = node.args[0]
        layer = _module(network, before)
        merged = None if layer is None else _merged(layer, scale)
        if merged is None:
            continue
        network.register_module(str(before.target), merged.requires_grad_(False))
        node.replace_all_uses_with(before)
        network.graph.erase_node(node)
    network.delete_all_unused_submodules()
    network.recompile()


def _module(network: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return network.get_submodule(str(node.target)) if node.op == "call_module" else None


def _merged(layer: nn.Module, scale: ScaleShift) -> nn.Module | None:
    if isinstance(layer, Weighted):
        inner = _merged_weights(layer.layer, scale)
        return None if inner is None else Weighted(inner)
    return _merged_weights(layer, scale) if isinstance(layer, nn.Conv2d | nn.Linear) else None


def _merged_weights(layer: nn.Module, scale: ScaleShift) -> nn.Module | None:
    """Return the layer followed by the scale as one layer; None where the scale is not one number a channel."""
    weight = cast(Tensor, layer.weight).detach()
    transposed = isinstance(layer, nn.modules.conv._ConvTransposeNd)
    if transposed and cast(nn.ConvTranspose2d, layer).groups != 1:
        return None
    axis = 1 if transposed else 0
    spatial = 0 if isinstance(layer, nn.Linear) else weight.dim() - 2
    factor = _a_channel(scale.scale, weight.shape[axis], spatial)
    shift = _a_channel(scale.scale.new_zeros(()) if scale.shift is None else scale.shift, weight.shape[axis], spatial)
    if factor is None or shift is None:
        return None
    shape = [1] * weight.dim()
    shape[axis] = -1
    merged = copy.deepcopy(layer)
    merged.weight = nn.Parameter(weight * factor.view(shape), requires_grad=False)
    bias = cast("Tensor | None", layer.bias)
    merged.bias = nn.Parameter(shift if bias is None else shift + factor * bias.detach(), requires_grad=False)
    return merged


def _a_channel(values: Tensor, channels: int, spatial: int) -> Tensor | None:
    """Return ``(channels,)`` numbers, or None if the values differ within a channel."""
    if values.numel() == 1:
        return values.reshape(1).expand(channels).clone()
    return values.reshape(-1) if values.shape == (channels, *[1] * spatial) else None
