"""Activations and products."""

from __future__ import annotations

import torch
from torch import Tensor

from usncli.bounding.affine.activations import execution_error, relax
from usncli.bounding.affine.enclosure import Enclosure
from usncli.bounding.affine.rounding import CENTRE, UNDERFLOW, gamma
from usncli.bounding.affine.rules.operation import SPARE, Errors, Operation, Result, diagonal
from usncli.bounding.affine.steps import ReluStep
from usncli.bounding.rewriting.activation import Function


def activation(operation: Operation) -> Result:
    """An elementwise function by its relaxation over each value's interval."""
    if operation.layer.function is Function.RELU:
        return relu(operation)
    lower, upper = operation.range()
    relaxation = relax(operation.layer, lower, upper)
    sizes = relaxation.slope.abs() * torch.maximum(lower.abs(), upper.abs()) + relaxation.shift.abs().to(lower.dtype)
    moved = relaxation.slope.abs() * operation.inputs[0].spread()
    own = relaxation.radius * (1 + 4 * operation.working) + UNDERFLOW
    if operation.executed:
        own = own + execution_error(operation.layer, lower, upper, operation.executed)
    return diagonal(operation, (relaxation.slope,), relaxation.shift, Errors(own, sizes, moved))


def relu(operation: Operation) -> Result:
    """max(x, 0): the identity where x >= 0, zero where x <= 0, else parallel to the chord over the interval [l, u].

    With slope k in [0, 1], relu(x) - k x over l <= x <= u is at most max(-k l, (1 - k) u), at x = l or u, and at least
    0, at x = 0, whatever rounding made of k = u / (u - l): the line k x plus half of that, give or take as much.
    """
    (given,) = operation.inputs
    lower, upper = operation.range()
    active = lower >= 0
    # Few values cross, so what is about them alone is computed for them alone. What is not a number is neither active
    # nor dead: it stays so, and proves nothing.
    crossing = (~(active | (upper <= 0))).flatten().nonzero().squeeze(1)
    low, high = lower.flatten()[crossing], upper.flatten()[crossing]
    chord = high / (high - low)
    off = torch.maximum(-chord * low, (1 - chord) * high) / 2
    # 16 units cover multiplying centre, slopes and coefficients by k: k |x| is at most u, and so is k times the spread
    # where the interval is the enclosure's own.
    sizes = high + chord * given.spread().flatten()[crossing] if operation.refined else high
    slope = _with(active.to(lower.dtype), crossing, chord)
    half = _with(torch.zeros_like(upper), crossing, off)
    error = _with(torch.zeros_like(upper), crossing, off + sizes * (SPARE * operation.working) + UNDERFLOW)
    # No slope exceeds 1, so no error grows.
    slopes, radius = given.slopes * slope.unsqueeze(1), given.radius * slope
    enclosure = Enclosure((given.centre * slope).add_(half), slopes, radius, given.length)
    step = ReluStep(operation.sources, half, error, (slope,), (slope.shape[1:],), given, (lower, upper), centred=True)
    # The middle of the enclosure's own interval goes to a place between 0 and u.
    largest = None if operation.refined else operation.over_pieces(upper.clamp(min=0)) * (1 + 8 * operation.working)
    return Result(enclosure, step, error, largest)


def _with(values: Tensor, places: Tensor, given: Tensor) -> Tensor:
    """Return values with numbers put into some places, counted as if flattened."""
    return values.flatten().index_put_((places,), given).view(values.shape)


def product(operation: Operation) -> Result:
    """The product of two values, one of which may be broadcast.

    x y = y0 x + x0 y - x0 y0 + (x - x0) (y - y0), with x0 and y0 the centres; the last term is at most the product of
    the distances from them. It has one sign where both are the same value.
    """
    first, second = operation.inputs
    (x0, x_far), (y0, y_far) = first.middle(), second.middle()
    sizes = (x0.abs() + x_far) * (y0.abs() + y_far)
    error = x_far * y_far * (1 + 8 * operation.working)
    shift = -x0.to(first.centre.dtype) * y0.to(first.centre.dtype)
    if operation.sources[0] == operation.sources[1]:
        error = error / 2
        shift = shift + error
    # Backward passes sum over axes that a factor is broadcast along, in float64.
    summed = error[0].numel() // max(1, min(given.centre[0].numel() for given in operation.inputs))
    own = error + sizes * (gamma(summed, CENTRE) + 2 * operation.executed) + UNDERFLOW
    slopes = tuple(slope.expand(own.shape) for slope in (y0, x0))
    return diagonal(operation, slopes, shift, Errors(own, sizes, y0.abs() * x_far + x0.abs() * y_far))
