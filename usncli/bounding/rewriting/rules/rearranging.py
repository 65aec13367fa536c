"""Rules for what only moves values: changes of shape, slices, permutations, padding, nearest resizing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx

from usncli.bounding.rewriting.call import Call
from usncli.bounding.rewriting.vocabulary import APART, CannotRewriteError

_aten = torch.ops.aten


def _rearrange(call: Call, *, overload: Any) -> fx.Node:
    """Keep a call with constant arguments whose every output is an input or 0."""
    source, function = separated(call, overload)
    if call.result.dim() > 1 and call.result[0].numel() == call.examples[source][0].numel():
        flat = call.examples[source].flatten(1)
        if torch.equal(call.result.flatten(1), flat):
            return call.builder.reshape(call.node(source), call.shape(source)[1:], call.result.shape[1:])
    return call.builder.select(call.node(source), call.shape(source)[1:], function)


def separated(call: Call, overload: Any) -> tuple[str, Callable[[Tensor], Tensor]]:
    """Return the name of a call's first argument and the call as a function of it, for any number of images.

    Raises:
        CannotRewriteError: another argument depends on the image, or images are mixed, or their number matters.
    """
    source = "self" if "self" in call.arguments else "input"
    others = {key: value for key, value in call.arguments.items() if key != source}
    if any(isinstance(value, fx.Node) for value in others.values()):
        raise CannotRewriteError("an argument depends on the image", "give sizes and positions as numbers")

    def function(values: Tensor) -> Tensor:
        result: Tensor = overload(values, **others)
        return result

    example = call.examples[source]
    three = torch.cat([example, example[:1] + 1])
    together, alone = function(three), function(three[2:])
    if together.shape[0] != 3 or alone.shape[0] != 1 or not torch.allclose(together[2:], alone):
        raise CannotRewriteError("it mixes the images of a batch", APART)
    return source, function


def _reshape(call: Call) -> fx.Node:
    source = "self" if "self" in call.arguments else "input"
    if call.result.shape[0] != call.shape(source)[0]:
        raise CannotRewriteError("it changes the batch dimension", APART)
    return call.builder.reshape(call.node(source), call.shape(source)[1:], call.result.shape[1:])


def _expand(call: Call) -> fx.Node:
    return call.broadcast("self")


def _parts(call: Call) -> list[fx.Node]:
    """Cut a tensor along a dimension into the parts that the example shows."""
    dimension = _inner_dimension(call)
    parts, start = [], 0
    for part in call.result:
        cut = partial(torch.narrow, dim=dimension, start=start, length=part.shape[dimension])
        parts.append(call.builder.select(call.node("self"), call.shape()[1:], cut))
        start += part.shape[dimension]
    return parts


def _slices(call: Call) -> list[fx.Node]:
    """Cut a tensor along a dimension into slices without it."""
    dimension = _inner_dimension(call)
    values, shape = call.node("self"), call.shape()[1:]
    slices = (partial(torch.select, dim=dimension, index=index) for index in range(len(call.result)))
    return [call.builder.select(values, shape, function) for function in slices]


def _inner_dimension(call: Call) -> int:
    dimension = int(call.arguments["dim"]) % len(call.shape())
    if dimension == 0:
        raise CannotRewriteError("it splits the batch", APART)
    return dimension


def _pad(call: Call) -> fx.Node:
    """Pad in any mode; padding with a value is padding with zeros and a shift."""
    amounts, mode = list(call.arguments["pad"]), call.arguments.get("mode", "constant")
    if len(amounts) > 2 * (call.result.dim() - 1):
        raise CannotRewriteError("it pads the batch dimension", APART)
    before = call.shape()[1:]
    padded = call.builder.select(
        call.node("self"), before, lambda values: torch.nn.functional.pad(values, amounts, mode)
    )
    value = call.arguments.get("value") or 0.0
    if mode != "constant" or value == 0:
        return padded
    inside = torch.ones(before, dtype=torch.float64)
    return call.builder.scale_shift(padded, 1.0, value * (1 - torch.nn.functional.pad(inside, amounts)))


def _identity(call: Call) -> fx.Node:
    return call.node("self" if "self" in call.arguments else "input")


_REARRANGED = (
    _aten.permute.default,
    _aten.transpose.int,
    _aten.movedim.int,
    _aten.movedim.intlist,
    _aten.slice.Tensor,
    _aten.select.int,
    _aten.narrow.default,
    _aten.index_select.default,
    _aten.flip.default,
    _aten.roll.default,
    _aten.repeat.default,
    _aten.tile.default,
    _aten.pixel_shuffle.default,
    _aten.pixel_unshuffle.default,
    _aten.channel_shuffle.default,
    _aten.reflection_pad1d.default,
    _aten.reflection_pad2d.default,
    _aten.replication_pad1d.default,
    _aten.replication_pad2d.default,
    _aten.upsample_nearest1d.vec,
    _aten.upsample_nearest2d.vec,
    _aten.upsample_nearest2d.default,
    _aten._upsample_nearest_exact2d.vec,
    _aten._upsample_nearest_exact2d.default,
)
_RESHAPES = (
    _aten.flatten.using_ints,
    _aten.unflatten.int,
    _aten.reshape.default,
    _aten.view.default,
    _aten.squeeze.default,
    _aten.squeeze.dim,
    _aten.squeeze.dims,
    _aten.unsqueeze.default,
)
_IDENTITIES = (
    _aten.alias.default,
    _aten.clone.default,
    _aten.contiguous.default,
    _aten.detach.default,
    _aten.dropout.default,
    _aten.feature_dropout.default,
    _aten.to.dtype,
    _aten._to_copy.default,
)

REARRANGING_RULES: Mapping[Any, Callable[[Call], fx.Node | list[fx.Node]]] = {
    **{overload: partial(_rearrange, overload=overload) for overload in _REARRANGED},
    **dict.fromkeys(_RESHAPES, _reshape),
    **dict.fromkeys(_IDENTITIES, _identity),
    **dict.fromkeys((_aten.split.Tensor, _aten.split_with_sizes.default, _aten.chunk.default), _parts),
    _aten.unbind.int: _slices,
    **dict.fromkeys((_aten.expand.default, _aten.expand_as.default), _expand),
    **dict.fromkeys((_aten.pad.default, _aten.constant_pad_nd.default), _pad),
}
"""Rule of every operation that only moves values, by overload."""
