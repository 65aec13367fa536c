"""Rules for layers with parameters: convolutions, linear layers, batch norm, PReLU, dropout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.nn.functional import pad

from usncli.bounding.rewriting.activation import Function
from usncli.bounding.rewriting.call import Call
from usncli.bounding.rewriting.linear_maps import Convolution, Linear, ScaleShift, TransposedConvolution
from usncli.bounding.rewriting.linear_maps.convolutions import Geometry
from usncli.bounding.rewriting.vocabulary import CannotRewriteError

BATCH_NORM_TERMS = 7
"""Roundings by which batch norm's scale and shift are known, for `ScaleShift`.

With a = weight / sqrt(variance + eps): rounding eps, the sum, the root, the quotient by it and the product are 5, so
each execution of a (z - mean) + bias makes at most 8 of z and of the mean (a difference, 5, a product, a sum), and so
does a z + (bias - a mean). `ScaleShift` counts the last product and sum itself, and one is for the magnitude, which is
computed with rounding. Folded into a convolution of K terms, the weights are known by 6 and summed with K.
"""


def convolution(call: Call) -> fx.Node:
    """Write a convolution; padding by name or by values is a padding of its own before it."""
    layer, values = cast("nn.Conv1d | nn.Conv2d | nn.Conv3d", call.layer), call.node("input")
    shape, padding = call.shape("input")[1:], layer.padding
    if isinstance(padding, str) or layer.padding_mode != "zeros":
        amounts = list(layer._reversed_padding_repeated_twice)
        mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
        if any(amounts):
            padded = pad(torch.zeros(1, *shape), amounts, mode).shape[1:]
            values = call.builder.select(values, shape, lambda tensor: pad(tensor, amounts, mode))
            shape = padded
        padding = (0,) * (len(shape) - 1)
    geometry = Geometry(_numbers(layer.stride), _numbers(padding), _numbers(layer.dilation), layer.groups)
    return call.builder.affine(values, Convolution(*_parameters(layer), geometry, shape[1:]))


def transposed_convolution(call: Call) -> fx.Node:
    """Write a transposed convolution."""
    layer = cast("nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d", call.layer)
    geometry = Geometry(_numbers(layer.stride), _numbers(layer.padding), _numbers(layer.dilation), layer.groups)
    sizes = call.shape("input")[2:]
    return call.builder.affine(
        call.node("input"),
        TransposedConvolution(*_parameters(layer), geometry, sizes, _numbers(layer.output_padding)),
    )


def linear(call: Call) -> fx.Node:
    """Write a linear layer."""
    layer = Linear(*_parameters(cast(nn.Linear, call.layer)), call.result.dim() - 1)
    return call.builder.affine(call.node("input"), layer)


def batch_norm(call: Call) -> fx.Node:
    """Write batch norm as a scale and a shift a channel; `folding` merges it into the layer before it."""
    norm = cast(nn.BatchNorm2d, call.layer)
    if norm.running_mean is None or norm.running_var is None:
        raise CannotRewriteError("batch norm without running statistics", "train it with track_running_stats=True")
    shape = (-1, *[1] * (call.result.dim() - 2))
    constant = call.builder.constant
    scale = 1 / torch.sqrt(constant(norm.running_var) + norm.eps)
    scale = scale if norm.weight is None else scale * constant(norm.weight)
    moved, bias = constant(norm.running_mean) * scale, constant(0.0 if norm.bias is None else norm.bias)
    return call.builder.affine(
        call.node("input"),
        ScaleShift(
            scale.view(shape), (bias - moved).view(shape), BATCH_NORM_TERMS, (moved.abs() + bias.abs()).view(shape)
        ),
    )


def prelu(call: Call) -> fx.Node:
    """PReLU: a leaky ReLU with a slope a channel or one for all."""
    slope = call.builder.constant(cast(nn.PReLU, call.layer).weight)
    slope = slope.view(-1, *[1] * (call.result.dim() - 2)) if slope.numel() > 1 else slope.reshape(())
    return call.builder.activation(call.node("input"), Function.LEAKY_RELU, {"slope": slope})


def identity(call: Call) -> fx.Node:
    """Dropout in evaluation mode."""
    return call.node("input")


def _parameters(layer: Any) -> tuple[Tensor, Tensor | None]:
    return layer.weight.detach().double(), None if layer.bias is None else layer.bias.detach().double()


def _numbers(values: Any) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


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
