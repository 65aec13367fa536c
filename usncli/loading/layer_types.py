"""The closed table of layers that a captured network may hold, and how each is written down and built again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

_CONVOLUTION = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups")
_TRANSPOSED = (*_CONVOLUTION[:5], "output_padding", "groups", "dilation")
_BATCH_NORM = ("num_features", "eps", "momentum", "affine", "track_running_stats")

_ARGUMENTS: Mapping[type[nn.Module], tuple[str, ...]] = {
    nn.Conv1d: _CONVOLUTION,
    nn.Conv2d: _CONVOLUTION,
    nn.Conv3d: _CONVOLUTION,
    nn.ConvTranspose1d: _TRANSPOSED,
    nn.ConvTranspose2d: _TRANSPOSED,
    nn.ConvTranspose3d: _TRANSPOSED,
    nn.Linear: ("in_features", "out_features"),
    nn.BatchNorm1d: _BATCH_NORM,
    nn.BatchNorm2d: _BATCH_NORM,
    nn.BatchNorm3d: _BATCH_NORM,
    nn.InstanceNorm1d: _BATCH_NORM,
    nn.InstanceNorm2d: _BATCH_NORM,
    nn.InstanceNorm3d: _BATCH_NORM,
    nn.LayerNorm: ("normalized_shape", "eps", "elementwise_affine"),
    nn.GroupNorm: ("num_groups", "num_channels", "eps", "affine"),
    nn.PReLU: ("num_parameters",),
    nn.Dropout: ("p",),
    nn.Dropout1d: ("p",),
    nn.Dropout2d: ("p",),
    nn.Dropout3d: ("p",),
    nn.AlphaDropout: ("p",),
}
_WITH_BIAS_FLAG = (nn.modules.conv._ConvNd, nn.Linear, nn.LayerNorm)

LAYER_TYPES: Mapping[str, type[nn.Module]] = {kind.__name__: kind for kind in _ARGUMENTS}
"""Every permitted layer class, by its name in ``torch.nn``."""


def layer_arguments(layer: nn.Module) -> dict[str, Any] | None:
    """Return the constructor arguments of a permitted layer as JSON values; None for any other module."""
    names = _ARGUMENTS.get(type(layer))
    if names is None:
        return None
    values = {name: getattr(layer, name) for name in names}
    if isinstance(layer, _WITH_BIAS_FLAG):
        values["bias"] = layer.bias is not None
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def build_layer(kind: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Build a layer from its class name and `layer_arguments`, without initialising its weights.

    Raises:
        KeyError: the class is not in `LAYER_TYPES`.
        TypeError, ValueError: the arguments are not this layer's.
    """
    layer_type = LAYER_TYPES[kind]
    if not set(arguments) <= {*_ARGUMENTS[layer_type], "bias"}:
        raise TypeError(f"unexpected arguments for {kind}: {sorted(arguments)}")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()}
    with torch.device("meta"):
        return layer_type(**values)
