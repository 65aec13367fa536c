"""Which tensors of a layer, and which axis of each, hold its output channels and its input channels."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from usncli.errors import UnsupportedOperationError

Convolution = nn.modules.conv._ConvNd
"""Every convolution, transposed ones included."""

Normalisation = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)
"""Layers that normalise each channel by itself."""


class ChannelAxis(NamedTuple):
    """One tensor of a layer and the axis along which a side's channels lie.

    Attributes:
        tensor: attribute name on the layer: ``weight``, ``bias``, ``running_mean``, ``running_var``.
        axis: dimension of the tensor.
        trained: whether it is a parameter, which a mask sets to zero, and not a running statistic.
    """

    tensor: str
    axis: int
    trained: bool = True


def channel_axes(name: str, layer: nn.Module, side: str) -> tuple[ChannelAxis, ...]:
    """Return where a layer keeps the channels of one side.

    A depthwise convolution, a normalisation of each channel by itself and a per-channel PReLU keep both sides in the
    same tensors. A grouped convolution counts its inputs within one group (`usncli.scoring.groups.GroupMember`).

    Args:
        name: the layer's name, for the error.
        layer: a standard layer, or a bare parameter's holder.
        side: ``out`` for what the layer makes, ``in`` for what it consumes.

    Raises:
        UnsupportedOperationError: the layer mixes channels in a way in which one of them cannot be taken out.
    """
    return tuple(axis for axis in _axes(name, layer, side) if getattr(layer, axis.tensor, None) is not None)


def _axes(name: str, layer: nn.Module, side: str) -> tuple[ChannelAxis, ...]:
    both = (ChannelAxis("weight", 0), ChannelAxis("bias", 0))
    if isinstance(layer, nn.Linear):
        return both if side == "out" else (ChannelAxis("weight", 1),)
    if isinstance(layer, Convolution):
        return _convolution_axes(layer, side)
    if isinstance(layer, Normalisation):
        return (*both, ChannelAxis("running_mean", 0, trained=False), ChannelAxis("running_var", 0, trained=False))
    if isinstance(layer, nn.PReLU):
        return (ChannelAxis("weight", 0),) if layer.num_parameters > 1 else ()
    raise UnsupportedOperationError(
        f"layer {name}: expected a layer whose channels can be cut one by one, got {type(layer).__name__}; "
        f"leave it out with --exclude {name}",
        [name],
    )


def _convolution_axes(layer: Convolution, side: str) -> tuple[ChannelAxis, ...]:
    bias = ChannelAxis("bias", 0)
    if _is_depthwise(layer):
        return (ChannelAxis("weight", 0), bias)
    out_axis = 1 if layer.transposed else 0
    return (ChannelAxis("weight", out_axis), bias) if side == "out" else (ChannelAxis("weight", 1 - out_axis),)


def _is_depthwise(layer: Convolution) -> bool:
    return layer.groups > 1 and layer.groups == layer.in_channels == layer.out_channels


def update_sizes(layer: nn.Module) -> None:
    """Bring the size attributes of a layer (``out_channels``, ``num_features``, ...) in line with its tensors."""
    if isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = layer.weight.shape
    elif isinstance(layer, Convolution):
        _update_convolution(layer)
    elif isinstance(layer, Normalisation):
        sized = layer.weight if layer.weight is not None else layer.running_mean
        if sized is not None:
            layer.num_features = sized.shape[0]
    elif isinstance(layer, nn.PReLU):
        layer.num_parameters = layer.weight.shape[0]


def _update_convolution(layer: Convolution) -> None:
    first, second = layer.weight.shape[:2]
    if _is_depthwise(layer):
        layer.groups = layer.in_channels = layer.out_channels = first
    elif layer.transposed:
        layer.in_channels, layer.out_channels = first, second
    else:
        layer.out_channels, layer.in_channels = first, second * layer.groups
