"""Rules for sums, differences, products, quotients, and concatenation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx

from usncli.bounding.rewriting.activation import Function
from usncli.bounding.rewriting.call import Call, same_for_all
from usncli.bounding.rewriting.vocabulary import APART, CannotRewriteError

_aten = torch.ops.aten


def _sum(call: Call, *, sign: float) -> fx.Node:
    first, second = call.arguments["self"], call.arguments["other"]
    alpha = call.arguments.get("alpha")
    factor = sign * (1.0 if alpha is None else float(alpha))
    if not isinstance(second, fx.Node):
        return call.builder.scale_shift(call.broadcast("self"), 1.0, factor * call.constant("other"))
    if not isinstance(first, fx.Node):
        return call.builder.scale_shift(call.broadcast("other"), factor, call.constant("self"))
    first, second = call.broadcast("self"), call.broadcast("other")
    if factor == -1:
        return call.builder.subtract(first, second)
    return call.builder.add(first, second if factor == 1 else call.builder.scale_shift(second, factor))


def _product(call: Call) -> fx.Node:
    first, second = call.arguments["self"], call.arguments["other"]
    if not isinstance(second, fx.Node):
        return call.builder.scale_shift(call.broadcast("self"), call.constant("other"))
    if not isinstance(first, fx.Node):
        return call.builder.scale_shift(call.broadcast("other"), call.constant("self"))
    if first is second:
        return call.builder.activation(first, Function.SQUARE)
    if len(call.shape("self")) != len(call.shape("other")):
        raise CannotRewriteError(
            "a product of tensors of different numbers of axes",
            "give both factors the same number of axes, with unsqueeze",
        )
    return call.builder.product(first, second)


def _quotient(call: Call) -> fx.Node:
    if call.arguments.get("rounding_mode") is not None:
        raise CannotRewriteError("a quotient that is rounded", "divide without rounding_mode")
    if isinstance(call.arguments["other"], fx.Node):
        raise CannotRewriteError("a quotient by what depends on the image", "divide by a constant")
    divisor = call.constant("other")
    if not bool((divisor != 0).all()):
        raise CannotRewriteError("a quotient by 0", "divide by something else than 0")
    return call.builder.scale_shift(call.broadcast("self"), 1 / divisor)


def _negative(call: Call) -> fx.Node:
    return call.builder.scale_shift(call.node("self"), -1.0)


def _reversed_difference(call: Call) -> fx.Node:
    """Subtract ``alpha * self`` from other."""
    alpha = call.arguments.get("alpha")
    factor = -1.0 if alpha is None else -float(alpha)
    return call.builder.scale_shift(call.broadcast("self"), factor, call.constant("other"))


def _concatenate(call: Call) -> fx.Node:
    parts, dimension = call.arguments["tensors"], int(call.arguments["dim"]) % call.result.dim()
    return concatenation(call, parts, call.examples["tensors"], dimension)


def _stack(call: Call) -> fx.Node:
    """Concatenate along a new axis."""
    dimension = int(call.arguments["dim"]) % call.result.dim()
    examples = [example.unsqueeze(dimension) for example in call.examples["tensors"]]
    parts = [
        call.builder.reshape(part, old.shape[1:], new.shape[1:]) if isinstance(part, fx.Node) else new
        for part, old, new in zip(call.arguments["tensors"], call.examples["tensors"], examples, strict=True)
    ]
    return concatenation(call, parts, examples, dimension)


def concatenation(call: Call, parts: Sequence[fx.Node | Tensor], examples: Sequence[Tensor], dimension: int) -> fx.Node:
    """Add a concatenation; constants are a shift of zeros that the rest is padded with.

    Raises:
        CannotRewriteError: it is along the batch.
    """
    if dimension == 0:
        raise CannotRewriteError("it concatenates along the batch", APART)
    moving = [part for part in parts if isinstance(part, fx.Node)]
    joined = moving[0] if len(moving) == 1 else call.builder.concatenate(moving, dimension)
    if len(moving) == len(parts):
        return joined
    lengths = [example.shape[dimension] for part, example in zip(parts, examples, strict=True) if part in moving]
    shape = list(call.result.shape[1:])
    shape[dimension - 1] = sum(lengths)

    def place(values: Tensor) -> Tensor:
        pieces = iter(torch.split(values, lengths, dimension))
        return torch.cat(
            [
                next(pieces) if isinstance(part, fx.Node) else values.new_zeros(1, *example.shape[1:])
                for part, example in zip(parts, examples, strict=True)
            ],
            dimension,
        )

    constants = [
        example.new_zeros(example.shape[1:]) if isinstance(part, fx.Node) else same_for_all(part)
        for part, example in zip(parts, examples, strict=True)
    ]
    placed = call.builder.select(joined, shape, place)
    return call.builder.scale_shift(placed, 1.0, torch.cat(constants, dimension - 1))


ARITHMETIC_RULES: Mapping[Any, Callable[[Call], fx.Node]] = {
    **dict.fromkeys((_aten.add.Tensor, _aten.add.Scalar), partial(_sum, sign=1.0)),
    **dict.fromkeys((_aten.sub.Tensor, _aten.sub.Scalar), partial(_sum, sign=-1.0)),
    **dict.fromkeys((_aten.mul.Tensor, _aten.mul.Scalar), _product),
    **dict.fromkeys((_aten.div.Tensor, _aten.div.Scalar), _quotient),
    **dict.fromkeys((_aten.rsub.Scalar, _aten.rsub.Tensor), _reversed_difference),
    _aten.neg.default: _negative,
    **dict.fromkeys((_aten.cat.default, _aten.concat.default), _concatenate),
    _aten.stack.default: _stack,
}
"""Rule of every arithmetic operation that can be rewritten, by overload."""
