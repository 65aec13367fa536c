"""Rules for maps without negative coefficients (pooling by average, resizing, reordering) and for arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx

from usncli.certifying.rewriting.call import Call, CannotRewriteError

_aten = torch.ops.aten


def _monotone(call: Call, *, overload: Any) -> fx.Node:
    """Keep a call with constant arguments that treats every image of the batch alike."""
    arguments = {key: value for key, value in call.arguments.items() if key not in ("self", "input")}
    source = "self" if "self" in call.arguments else "input"
    if any(isinstance(value, fx.Node) for value in arguments.values()):
        raise CannotRewriteError("an argument depends on the image")

    def function(values: Tensor) -> Tensor:
        result: Tensor = overload(values, **arguments)
        return result

    _check_batch(function, call.examples[source])
    return call.builder.monotone(call.node(source), overload._opname, function)


def _check_batch(function: Callable[[Tensor], Tensor], example: Tensor) -> None:
    """Make sure that a map of a batch is the same map of each of its members.

    Raises:
        CannotRewriteError: it mixes them, or depends on how many there are.
    """
    three = torch.cat([example, example[:1] + 1])
    together, alone = function(three), function(three[2:])
    if together.shape[0] != 3 or alone.shape[0] != 1 or not torch.allclose(together[2:], alone):
        raise CannotRewriteError("it mixes the images of a batch")


def _reshape(call: Call) -> fx.Node:
    shape = tuple(call.result.shape[1:])
    source = "self" if "self" in call.arguments else "input"
    if call.result.shape[0] != call.shape(source)[0]:
        raise CannotRewriteError("it changes the batch dimension")
    return call.builder.monotone(call.node(source), "reshape", lambda values: values.reshape(-1, *shape))


def _parts(call: Call) -> list[fx.Node]:
    """Cut a tensor along a dimension into the parts that the example shows."""
    dimension = int(call.arguments["dim"]) % len(call.shape())
    if dimension == 0:
        raise CannotRewriteError("it splits the batch")
    parts, start = [], 0
    for part in call.result:
        length = part.shape[dimension]
        parts.append(call.builder.monotone(call.node("self"), "part", partial(_narrow, dimension, start, length)))
        start += length
    return parts


def _slices(call: Call) -> list[fx.Node]:
    """Cut a tensor along a dimension into slices without it."""
    dimension = int(call.arguments["dim"]) % len(call.shape())
    if dimension == 0:
        raise CannotRewriteError("it splits the batch")
    values = call.node("self")
    return [
        call.builder.monotone(values, "slice", partial(torch.select, dim=dimension, index=index))
        for index in range(len(call.result))
    ]


def _stack(call: Call) -> fx.Node:
    parts, dimension = call.arguments["tensors"], int(call.arguments["dim"]) % call.result.dim()
    if dimension == 0 or not all(isinstance(part, fx.Node) for part in parts):
        raise CannotRewriteError("it stacks along the batch, or a constant")
    wide = [call.builder.monotone(part, "unsqueeze", partial(torch.unsqueeze, dim=dimension)) for part in parts]
    return call.builder.concatenate(wide, dimension)


def _narrow(dimension: int, start: int, length: int, values: Tensor) -> Tensor:
    return values.narrow(dimension, start, length)


def _pad(call: Call) -> fx.Node:
    if call.arguments.get("mode", "constant") != "constant":
        return _monotone(call, overload=_aten.pad.default)
    amounts, value = list(call.arguments["pad"]), call.arguments.get("value") or 0.0
    if len(amounts) > 2 * (call.result.dim() - 1):
        raise CannotRewriteError("it pads the batch dimension")
    padded = call.builder.monotone(call.node("self"), "pad", lambda values: torch.nn.functional.pad(values, amounts))
    if value == 0:
        return padded
    inside = torch.ones(call.shape()[1:], dtype=torch.float64)
    shift = value * (1 - torch.nn.functional.pad(inside, amounts))
    return call.builder.scale_shift(padded, 1.0, shift)


def _concatenate(call: Call) -> fx.Node:
    parts, dimension = call.arguments["tensors"], int(call.arguments["dim"]) % call.result.dim()
    if dimension == 0:
        raise CannotRewriteError("it concatenates along the batch")
    if not all(isinstance(part, fx.Node) for part in parts):
        raise CannotRewriteError("it concatenates with a constant")
    return call.builder.concatenate(parts, dimension)


def _sum(call: Call, *, sign: float) -> fx.Node:
    first, second = call.arguments["self"], call.arguments["other"]
    factor = sign * float(call.arguments.get("alpha") or 1)
    if isinstance(first, fx.Node) and isinstance(second, fx.Node):
        if call.shape("self") != call.shape("other"):
            raise CannotRewriteError("a sum of tensors of different shapes")
        if factor not in (1.0, -1.0):
            second = call.builder.scale_shift(second, factor)
            return call.builder.add(first, second)
        return call.builder.add(first, second) if factor == 1 else call.builder.subtract(first, second)
    if isinstance(first, fx.Node):
        _expect_unbroadcast(call, "self")
        return call.builder.scale_shift(first, 1.0, factor * call.constant("other"))
    _expect_unbroadcast(call, "other")
    return call.builder.scale_shift(call.node("other"), factor, call.constant("self"))


def _product(call: Call) -> fx.Node:
    name, other = ("self", "other") if isinstance(call.arguments["self"], fx.Node) else ("other", "self")
    if isinstance(call.arguments[other], fx.Node):
        raise CannotRewriteError("a product of two tensors that both depend on the image")
    _expect_unbroadcast(call, name)
    return call.builder.scale_shift(call.node(name), call.constant(other))


def _quotient(call: Call) -> fx.Node:
    _expect_unbroadcast(call, "self")
    return call.builder.scale_shift(call.node("self"), 1 / call.constant("other").double())


def _negative(call: Call) -> fx.Node:
    return call.builder.scale_shift(call.node("self"), -1.0)


def _reversed_difference(call: Call) -> fx.Node:
    return call.builder.scale_shift(call.node("self"), -float(call.arguments.get("alpha") or 1), call.constant("other"))


def _expect_unbroadcast(call: Call, name: str) -> None:
    if not call.unchanged_shape(name):
        raise CannotRewriteError("a constant of a larger shape than the tensor")


def _identity(call: Call) -> fx.Node:
    return call.node("self" if "self" in call.arguments else "input")


_MONOTONE = (
    _aten.avg_pool1d.default,
    _aten.avg_pool2d.default,
    _aten.adaptive_avg_pool1d.default,
    _aten.adaptive_avg_pool2d.default,
    _aten._adaptive_avg_pool2d.default,
    _aten.mean.dim,
    _aten.sum.dim_IntList,
    _aten.upsample_nearest2d.vec,
    _aten.upsample_nearest2d.default,
    _aten._upsample_nearest_exact2d.vec,
    _aten._upsample_nearest_exact2d.default,
    _aten.upsample_bilinear2d.vec,
    _aten.upsample_bilinear2d.default,
    _aten.permute.default,
    _aten.transpose.int,
    _aten.movedim.int,
    _aten.slice.Tensor,
    _aten.select.int,
    _aten.narrow.default,
    _aten.index_select.default,
    _aten.flip.default,
    _aten.pixel_shuffle.default,
    _aten.pixel_unshuffle.default,
    _aten.channel_shuffle.default,
    _aten.reflection_pad2d.default,
    _aten.replication_pad2d.default,
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

LINEAR_RULES: Mapping[Any, Callable[[Call], fx.Node | list[fx.Node]]] = {
    **{overload: partial(_monotone, overload=overload) for overload in _MONOTONE},
    **dict.fromkeys(_RESHAPES, _reshape),
    **dict.fromkeys(_IDENTITIES, _identity),
    **dict.fromkeys((_aten.split.Tensor, _aten.split_with_sizes.default, _aten.chunk.default), _parts),
    _aten.unbind.int: _slices,
    _aten.stack.default: _stack,
    **dict.fromkeys((_aten.pad.default, _aten.constant_pad_nd.default), _pad),
    **dict.fromkeys((_aten.cat.default, _aten.concat.default), _concatenate),
    **dict.fromkeys((_aten.add.Tensor, _aten.add.Scalar), partial(_sum, sign=1.0)),
    **dict.fromkeys((_aten.sub.Tensor, _aten.sub.Scalar), partial(_sum, sign=-1.0)),
    **dict.fromkeys((_aten.mul.Tensor, _aten.mul.Scalar), _product),
    **dict.fromkeys((_aten.div.Tensor, _aten.div.Scalar), _quotient),
    **dict.fromkeys((_aten.rsub.Scalar, _aten.rsub.Tensor), _reversed_difference),
    _aten.neg.default: _negative,
}
"""Rule of every other operation that can be rewritten, by overload."""
