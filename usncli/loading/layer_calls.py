"""Which layer a functional call with parameters came from: the reverse of a layer's ``forward``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload

from usncli.loading.operations import bind

_aten = torch.ops.aten


class LayerCall(NamedTuple):
    """A call recognised as a layer.

    Attributes:
        kind: class name, a key of `layer_types.LAYER_TYPES`.
        arguments: constructor arguments; an input's own number of dimensions chooses between 1d, 2d and 3d.
        tensors: the layer's state by its own names (``weight``, ``running_mean``), each a node of the graph.
        input: the node whose value the layer is applied to.
    """

    kind: str
    arguments: dict[str, Any]
    tensors: dict[str, fx.Node]
    input: fx.Node


def recognise(node: fx.Node) -> LayerCall | None:
    """Return the layer that a functional call stands for, or None if it is not a layer of the closed table."""
    if node.op != "call_function" or not isinstance(node.target, OpOverload):
        return None
    rule = _RULES.get(node.target)
    return rule(node) if rule is not None else None


def _shape(node: fx.Node) -> tuple[int, ...]:
    return tuple(node.meta["val"].shape)


def _tensors(bound: dict[str, Any], *names: str) -> dict[str, fx.Node]:
    return {name: bound[name] for name in names if isinstance(bound[name], fx.Node)}


def _tuple(value: Any, length: int) -> Any:
    if isinstance(value, str):
        return value
    values = [value] if isinstance(value, int) else list(value)
    return values * length if len(values) == 1 else values


def _convolution(node: fx.Node) -> LayerCall:
    bound = bind(node)
    shape = _shape(bound["weight"])
    spatial = len(shape) - 2
    arguments = {
        "in_channels": shape[1] * bound["groups"],
        "out_channels": shape[0],
        "kernel_size": list(shape[2:]),
        **{name: _tuple(bound[name], spatial) for name in ("stride", "padding", "dilation")},
        "groups": bound["groups"],
        "bias": bound["bias"] is not None,
    }
    return LayerCall(f"Conv{spatial}d", arguments, _tensors(bound, "weight", "bias"), bound["input"])


def _transposed_convolution(node: fx.Node) -> LayerCall:
    bound = bind(node)
    shape = _shape(bound["weight"])
    spatial = len(shape) - 2
    arguments = {
        "in_channels": shape[0],
        "out_channels": shape[1] * bound["groups"],
        "kernel_size": list(shape[2:]),
        **{name: _tuple(bound[name], spatial) for name in ("stride", "padding", "output_padding", "dilation")},
        "groups": bound["groups"],
        "bias": bound["bias"] is not None,
    }
    return LayerCall(f"ConvTranspose{spatial}d", arguments, _tensors(bound, "weight", "bias"), bound["input"])


def _core_convolution(node: fx.Node) -> LayerCall:
    return _transposed_convolution(node) if bind(node)["transposed"] else _convolution(node)


def _linear(node: fx.Node) -> LayerCall | None:
    bound = bind(node)
    shape = _shape(bound["weight"])
    if len(shape) != 2:
        return None
    arguments = {"in_features": shape[1], "out_features": shape[0], "bias": bound["bias"] is not None}
    return LayerCall("Linear", arguments, _tensors(bound, "weight", "bias"), bound["input"])


def _batch_norm(node: fx.Node) -> LayerCall | None:
    bound = bind(node)
    tensors = _tensors(bound, "weight", "bias", "running_mean", "running_var")
    if ("weight" in tensors) != ("bias" in tensors) or ("running_mean" in tensors) != ("running_var" in tensors):
        return None
    arguments = {
        "num_features": _shape(bound["input"])[1],
        "eps": bound["eps"],
        "momentum": bound["momentum"],
        "affine": "weight" in tensors,
        "track_running_stats": "running_mean" in tensors,
    }
    spatial = max(len(_shape(bound["input"])) - 2, 1)
    return LayerCall(f"BatchNorm{spatial}d", arguments, tensors, bound["input"])


def _instance_norm(node: fx.Node) -> LayerCall | None:
    bound = bind(node)
    call = _batch_norm(node)
    if call is None or bound["use_input_stats"] == ("running_mean" in call.tensors):
        return None
    spatial = len(_shape(bound["input"])) - 2
    return call._replace(kind=f"InstanceNorm{spatial}d")


def _layer_norm(node: fx.Node) -> LayerCall | None:
    bound = bind(node)
    tensors = _tensors(bound, "weight", "bias")
    if "bias" in tensors and "weight" not in tensors:
        return None
    arguments = {
        "normalized_shape": list(bound["normalized_shape"]),
        "eps": bound["eps"],
        "elementwise_affine": "weight" in tensors,
        "bias": "bias" in tensors,
    }
    return LayerCall("LayerNorm", arguments, tensors, bound["input"])


def _group_norm(node: fx.Node) -> LayerCall | None:
    bound = bind(node)
    tensors = _tensors(bound, "weight", "bias")
    if len(tensors) == 1:
        return None
    arguments = {
        "num_groups": bound["num_groups"],
        "num_channels": _shape(bound["input"])[1],
        "eps": bound["eps"],
        "affine": bool(tensors),
    }
    return LayerCall("GroupNorm", arguments, tensors, bound["input"])


def _prelu(node: fx.Node) -> LayerCall | None:
    bound = bind(node)
    shape = _shape(bound["weight"])
    if len(shape) > 1:
        return None
    arguments = {"num_parameters": shape[0] if shape else 1}
    return LayerCall("PReLU", arguments, _tensors(bound, "weight"), bound["self"])


def _dropout(node: fx.Node) -> LayerCall:
    bound = bind(node)
    return LayerCall("Dropout", {"p": float(bound["p"])}, {}, bound["input"])


def _feature_dropout(node: fx.Node) -> LayerCall:
    bound = bind(node)
    spatial = min(max(len(_shape(bound["input"])) - 2, 1), 3)
    return LayerCall(f"Dropout{spatial}d", {"p": float(bound["p"])}, {}, bound["input"])


def _alpha_dropout(node: fx.Node) -> LayerCall:
    return _dropout(node)._replace(kind="AlphaDropout")


_RULES: Mapping[OpOverload, Callable[[fx.Node], LayerCall | None]] = {
    **{
        overload: _convolution
        for packet in (_aten.conv1d, _aten.conv2d, _aten.conv3d)
        for overload in (packet.default, packet.padding)
    },
    _aten.conv_transpose1d.default: _transposed_convolution,
    _aten.conv_transpose2d.input: _transposed_convolution,
    _aten.conv_transpose3d.input: _transposed_convolution,
    _aten.convolution.default: _core_convolution,
    _aten.linear.default: _linear,
    _aten.batch_norm.default: _batch_norm,
    _aten.instance_norm.default: _instance_norm,
    _aten.layer_norm.default: _layer_norm,
    _aten.group_norm.default: _group_norm,
    _aten.prelu.default: _prelu,
    _aten.dropout.default: _dropout,
    _aten.feature_dropout.default: _feature_dropout,
    _aten.alpha_dropout.default: _alpha_dropout,
}


def state_shapes_match(layer: nn.Module, tensors: Mapping[str, Tensor]) -> bool:
    """Say whether every tensor of a recognised call fits the layer's own state."""
    state = layer.state_dict()
    return all(name in state and state[name].shape == tensor.shape for name, tensor in tensors.items())
