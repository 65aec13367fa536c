"""What to put in the place of an operation that has no rewriting rule."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn
from torch._ops import OpOverload

from usncli.bounding.rewriting.rules.activations import ACTIVATION_RULES

_aten = torch.ops.aten
ELSEWHERE = "compute it outside of the network, or from layers that docs/certification.md lists"
"""Remedy where nothing better is known."""


class Replacement(NamedTuple):
    """What stands in for some operations.

    Attributes:
        operations: names, without overload, or layer classes.
        remedy: what to do.
        by: what it names: keys of the tables of rules.
    """

    operations: frozenset[str]
    remedy: str
    by: tuple[Any, ...]


def _replacement(operations: str, remedy: str, *by: Any) -> Replacement:
    return Replacement(frozenset(operations.split()), remedy, by)


REPLACEMENTS = (
    _replacement(
        "softmax log_softmax _softmax _log_softmax logsumexp",
        "leave it out where it ends the network, since the largest output stays the largest; use nn.Sigmoid inside",
        _aten.sigmoid.default,
    ),
    _replacement(
        "LayerNorm GroupNorm InstanceNorm1d InstanceNorm2d InstanceNorm3d layer_norm group_norm instance_norm rms_norm "
        "native_layer_norm native_group_norm batch_norm",
        "use nn.BatchNorm2d, whose evaluation is linear",
        nn.BatchNorm2d,
    ),
    _replacement(
        "matmul mm bmm addmm baddbmm einsum dot outer bilinear scaled_dot_product_attention cosine_similarity",
        "use nn.Linear, nn.Conv2d or elementwise products",
        nn.Linear,
        nn.Conv2d,
        _aten.mul.Tensor,
    ),
    _replacement(
        "adaptive_max_pool2d max_pool3d max min amin",
        "use nn.MaxPool2d, or torch.amax over height and width",
        _aten.max_pool2d.default,
        _aten.amax.default,
    ),
    _replacement(
        "upsample_bicubic2d upsample_trilinear3d upsample_nearest3d _upsample_bilinear2d_aa grid_sampler",
        "resize with mode bilinear or nearest, without antialiasing",
        _aten.upsample_bilinear2d.vec,
        _aten.upsample_nearest2d.vec,
    ),
    _replacement(
        "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d linear prelu",
        "keep its weight as the parameter of a layer (nn.Conv2d, nn.Linear, nn.PReLU), not as something computed",
        nn.Conv2d,
        nn.Linear,
        nn.PReLU,
    ),
    _replacement(
        "var std linalg_vector_norm frobenius_norm norm",
        "use the mean of squares, x.square().mean((2, 3))",
        _aten.square.default,
        _aten.mean.dim,
    ),
    _replacement(
        "mean sum",
        "name the axes, without the batch: x.mean((2, 3))",
        _aten.mean.dim,
        _aten.sum.dim_IntList,
    ),
)
"""Replacements of operations that networks have."""


def replacement(operation: object) -> str:
    """Return what to do about a layer class or an overload without a rule."""
    name = operation.__name__ if isinstance(operation, type) else getattr(operation, "_opname", str(operation))
    for item in REPLACEMENTS:
        if name in item.operations:
            return item.remedy
    if isinstance(operation, OpOverload) and torch.Tag.pointwise in operation.tags:
        return f"use another activation: {', '.join(known_activations())}"
    return ELSEWHERE


def known_activations() -> tuple[str, ...]:
    """Return the names of the elementwise functions that have a rule."""
    return tuple(dict.fromkeys(overload._opname for overload in ACTIVATION_RULES))
