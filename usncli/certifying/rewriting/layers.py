"""Rules for layers with parameters: convolutions, linear layers, batch norm, PReLU, dropout."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import fx, nn
from torch.nn.functional import pad

from usncli.certifying.rewriting.activations import leak
from usncli.certifying.rewriting.call import Call, CannotRewriteError
from usncli.certifying.rewriting.linear_maps import Weighted


def _copy(call: Call) -> Any:
    return copy.deepcopy(call.layer).to(call.builder.device, call.builder.dtype)  # type: ignore[union-attr]


def convolution(call: Call) -> fx.Node:
    """Keep a plain 2-D convolution; write padding by name as numbers; any other geometry is a `Weighted` map."""
    layer, values = _copy(call), call.node("input")
    if layer.padding_mode != "zeros":
        raise CannotRewriteError(f"padding mode {layer.padding_mode}")
    if not isinstance(layer, nn.Conv2d):
        return call.builder.affine(values, Weighted(layer))
    if isinstance(layer.padding, str):
        amounts = list(layer._reversed_padding_repeated_twice) if layer.padding == "same" else [0, 0, 0, 0]
        if any(amounts):
            values = call.builder.monotone(values, "pad", lambda tensor: pad(tensor, amounts))
        layer.padding = (0, 0)
    if layer.dilation[0] != layer.dilation[1]:
        return call.builder.affine(values, Weighted(layer))
    return call.builder.affine(values, layer)


def transposed_convolution(call: Call) -> fx.Node:
    """Write a transposed convolution as a `Weighted` map."""
    return call.builder.affine(call.node("input"), Weighted(_copy(call)))


def linear(call: Call) -> fx.Node:
    """Keep a linear layer on vectors; on anything else it is a `Weighted` map."""
    layer = _copy(call)
    if call.result.dim() == 2:
        return call.builder.affine(call.node("input"), layer)
    return call.builder.affine(call.node("input"), Weighted(layer))


def batch_norm(call: Call) -> fx.Node:
    """Write batch norm as a scale and a shift a channel; `folding` merges it into the layer before it."""
    norm = cast(nn.BatchNorm2d, call.layer)
    if norm.running_mean is None or norm.running_var is None:
        raise CannotRewriteError("batch norm without running statistics")
    scale = 1 / torch.sqrt(norm.running_var.detach().double() + norm.eps)
    scale = scale if norm.weight is None else scale * norm.weight.detach().double()
    shift = -norm.running_mean.detach().double() * scale
    shift = shift if norm.bias is None else shift + norm.bias.detach().double()
    shape = (-1, *[1] * (call.result.dim() - 2))
    return call.builder.scale_shift(call.node("input"), scale.view(shape), shift.view(shape))


def prelu(call: Call) -> fx.Node:
    """PReLU: slope x + (1 - slope) relu(x), a slope a channel or one for all."""
    slope = cast(nn.PReLU, call.layer).weight.detach()
    if slope.numel() > 1:
        slope = slope.view(-1, *[1] * (call.result.dim() - 2))
    return leak(call.builder, call.node("input"), slope)


def identity(call: Call) -> fx.Node:
    """Dropout in evaluation mode."""
    return call.node("input")


LAYER_RULES: Mapping[type[nn.Module], Callable[[Call], fx.Node]] = {
    nn.Conv1d: convolution,
    nn.Conv2d: convolution,
    nn.Conv3d: convolution,
    nn.ConvTranspose1d: transposed_convolution,
    nn.ConvTranspose2d: transposed_convolution,
    nn.ConvTranspose3d: transposed_convolution,
    nn.Linear: linear,
    nn.BatchNorm1d: batch_norm,
    nn.BatchNorm2d: batch_norm,
    nn.BatchNorm3d: batch_norm,
    nn.PReLU: prelu,
    nn.Dropout: identity,
    nn.Dropout1d: identity,
    nn.Dropout2d: identity,
    nn.Dropout3d: identity,
    nn.AlphaDropout: identity,
}
"""Rule of every layer class of a captured network that can be rewritten."""
