"""Which operations a captured network may hold, and how its graph is read.

A captured network is a `torch.fx.GraphModule` of standard layers (``call_module``), tensors (``get_attr``) and ATen
overloads (``call_function``). An overload is permitted if running it can do nothing but compute: it changes none of
its arguments, touches no file and draws no random number.
"""

from __future__ import annotations

import re
from typing import Any, cast

import torch
from torch import fx
from torch._ops import OpOverload

LAYER = "layer"
"""Key of ``node.meta`` that holds the name of the user's layer that a node comes from ("" for the outermost)."""

LIFTED = "lifted"
"""Key of ``node.meta`` of a placeholder that stands for a parameter, a buffer or a constant, while capturing."""

_COMPOSITE_NAMES = """
adaptive_avg_pool1d.default adaptive_avg_pool2d.default adaptive_avg_pool3d.default adaptive_max_pool2d.default
avg_pool1d.default avg_pool2d.default avg_pool3d.default max_pool1d.default max_pool2d.default max_pool3d.default
conv1d.default conv1d.padding conv2d.default conv2d.padding conv3d.default conv3d.padding
conv_transpose1d.default conv_transpose2d.input conv_transpose3d.input linear.default bilinear.default
batch_norm.default layer_norm.default group_norm.default instance_norm.default rms_norm.default
linalg_vector_norm.default frobenius_norm.dim norm.ScalarOpt_dim
matmul.default mm.default bmm.default addmm.default baddbmm.default einsum.default dot.default outer.default
scaled_dot_product_attention.default softmax.int log_softmax.int logsumexp.default
flatten.using_ints unflatten.int reshape.default view.default expand.default expand_as.default view_as.default
reshape_as.default transpose.int t.default permute.default movedim.int movedim.intlist swapaxes.default
squeeze.default squeeze.dim squeeze.dims unsqueeze.default select.int slice.Tensor narrow.default
index_select.default split.Tensor split_with_sizes.default split.sizes chunk.default unbind.int
cat.default concat.default stack.default hstack.default vstack.default
tile.default repeat.default roll.default flip.default rot90.default
pad.default constant_pad_nd.default reflection_pad1d.default reflection_pad2d.default replication_pad1d.default
replication_pad2d.default upsample_nearest1d.vec upsample_nearest2d.vec upsample_nearest3d.vec
_upsample_nearest_exact2d.vec _upsample_nearest_exact2d.default upsample_nearest2d.default
upsample_bilinear2d.vec upsample_bilinear2d.default upsample_bicubic2d.vec upsample_linear1d.vec
upsample_trilinear3d.vec _upsample_bilinear2d_aa.vec
pixel_shuffle.default pixel_unshuffle.default channel_shuffle.default grid_sampler.default im2col.default
relu.default relu6.default hardtanh.default leaky_relu.default prelu.default elu.default selu.default celu.default
gelu.default silu.default mish.default softplus.default hardswish.default hardsigmoid.default log_sigmoid.default
hardshrink.default softshrink.default glu.default threshold.default
clamp.default clamp.Tensor clamp_min.default clamp_max.default clip.default square.default
sum.default sum.dim_IntList mean.default mean.dim amax.default amin.default max.dim min.dim max.default min.default
var.correction std.correction var.dim std.dim prod.dim_int cumsum.default
to.dtype zeros_like.default ones_like.default new_zeros.default new_ones.default new_full.default sym_size.int
cosine_similarity.default
"""
COMPOSITES = frozenset(_COMPOSITE_NAMES.split())
"""Permitted overloads, besides those that torch tags as core or pointwise."""

_CONVERTED_NAMES = """
dropout.default feature_dropout.default alpha_dropout.default alias.default detach.default contiguous.default
lift_fresh.default lift_fresh_copy.default _unsafe_view.default to.device to.dtype_layout to.other
zeros.default ones.default arange.default arange.start
"""
_CONVERTED = frozenset(_CONVERTED_NAMES.split())
"""Overloads that capturing turns into layers, removes or computes once."""

_FORBIDDEN_TAGS = (torch.Tag.nondeterministic_seeded, torch.Tag.inplace_view, torch.Tag.data_dependent_output)
_FORBIDDEN = re.compile(r"empty.*|as_strided.*|copy|_pdist.*|.*_backward|sym_storage_offset|sym_stride")
# Uninitialised or raw memory, and what only autograd calls: nothing a network of layers needs.


def is_permitted(target: object) -> bool:
    """Say whether a captured network may call this overload; see the module's docstring for the rule."""
    if not isinstance(target, OpOverload) or target.namespace != "aten":
        return False
    if any(argument.alias_info is not None and argument.alias_info.is_write for argument in target._schema.arguments):
        return False
    if short_name(target) in COMPOSITES:
        return True
    if _FORBIDDEN.fullmatch(target._opname) or any(tag in target.tags for tag in _FORBIDDEN_TAGS):
        return False
    return torch.Tag.core in target.tags or torch.Tag.pointwise in target.tags


def short_name(target: OpOverload) -> str:
    """Return ``name.overload`` without the namespace, such as ``conv2d.default``."""
    return f"{target._opname}.{target._overloadname}"


def find_overload(name: str) -> OpOverload | None:
    """Return the permitted overload of that `short_name`, or None."""
    target = _overload_named(name)
    return target if is_permitted(target) else None


def find_convertible(name: str) -> OpOverload | None:
    """Return the overload of that `short_name` if capturing turns it into layers and permitted overloads, or None.

    These are the permitted ones, their forms that change an argument in place, and those that capturing removes.
    """
    packet_name, _, overload_name = name.partition(".")
    functional = f"{packet_name.removesuffix('_')}.{overload_name}"
    known = find_overload(name) or functional in _CONVERTED or find_overload(functional)
    return _overload_named(name) if known else None


def _overload_named(name: str) -> OpOverload | None:
    packet_name, _, overload_name = name.partition(".")
    packet = getattr(torch.ops.aten, packet_name, None) if packet_name.isidentifier() else None
    target = getattr(packet, overload_name, None) if isinstance(packet, torch._ops.OpOverloadPacket) else None
    return target if isinstance(target, OpOverload) and short_name(target) == name else None


def is_op(node: object, *overloads: OpOverload) -> bool:
    """Say whether ``node`` is a graph node that calls one of these overloads."""
    return isinstance(node, fx.Node) and node.op == "call_function" and node.target in overloads


def layer_name(node: fx.Node) -> str:
    """Return the user's name of the layer that a node belongs to, for messages.

    Functional calls are named after the layer whose ``forward`` makes them, with the operation behind it.
    """
    if node.op == "call_module":
        return str(node.target)
    layer = str(node.meta.get(LAYER) or "")
    if node.op != "call_function":
        return layer or node.name
    operation = short_name(node.target) if isinstance(node.target, OpOverload) else str(node.target)
    return f"{layer or 'forward'} ({operation.removesuffix('.default')})"


def module_of(network: fx.GraphModule, node: fx.Node) -> torch.nn.Module | None:
    """Return the layer that a ``call_module`` node calls; None for every other node."""
    return network.get_submodule(str(node.target)) if node.op == "call_module" else None


def bind(node: fx.Node) -> dict[str, Any]:
    """Return the arguments of an overload's call by their schema names, with defaults filled in."""
    target = cast(OpOverload, node.target)
    bound: dict[str, Any] = {}
    for position, argument in enumerate(target._schema.arguments):
        if position < len(node.args):
            bound[argument.name] = node.args[position]
        elif argument.name in node.kwargs:
            bound[argument.name] = node.kwargs[argument.name]
        else:
            bound[argument.name] = argument.default_value if argument.has_default_value() else None
    return bound
