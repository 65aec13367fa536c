"""Affine maps, sums and concatenations."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from usncli.certifying.bounds.affine.enclosure import Enclosure, aligned
from usncli.certifying.bounds.affine.rounding import CENTRE, UNDERFLOW, gamma, unit_roundoff
from usncli.certifying.bounds.affine.rules.operation import SPARE, Operation, Result
from usncli.certifying.bounds.affine.steps import AffineStep, ConcatenationStep, SignedSumStep
from usncli.certifying.rewriting.linear_maps import LinearMap


def affine(operation: Operation) -> Result:
    """A `LinearMap`."""
    layer, (given,) = operation.layer, operation.inputs
    slopes = _each_direction(layer.linear, given.slopes)
    centre = layer.linear(given.centre)
    shift = None
    if layer.shift is not None:
        shift = layer.form("shift", centre).unsqueeze(0)
        centre = centre + shift
    if not layer.terms and not layer.back_terms:
        # Values are copied; nothing is rounded.
        step = AffineStep(operation.sources, shift, None, layer)
        return Result(Enclosure(centre, slopes, layer.absolute(given.radius)), step)
    loss = gamma(layer.terms + SPARE + slopes.shape[1], operation.working)
    executed = gamma(layer.terms, operation.executed)
    sizes = _sizes(layer, operation.size())
    radius = layer.absolute(torch.add(given.radius, given.slopes.abs().sum(dim=1), alpha=loss))
    radius = radius.mul_(1 + 2 * loss).add_(sizes, alpha=gamma(layer.terms + SPARE, CENTRE) + executed).add_(UNDERFLOW)
    charged = sizes * (gamma(layer.back_terms + SPARE, operation.working) + executed) + UNDERFLOW
    return Result(Enclosure(centre, slopes, radius), AffineStep(operation.sources, shift, charged, layer))


def _each_direction(function: Callable[[Tensor], Tensor], slopes: Tensor) -> Tensor:
    """Apply a function of ``(batch, *shape)`` to slopes ``(pieces, directions, *shape)``."""
    flat = function(slopes.flatten(0, 1))
    return flat.reshape(*slopes.shape[:2], *flat.shape[1:])


def _sizes(layer: LinearMap, largest: Tensor) -> Tensor:
    """Return at least ``|L| |x| + m`` from the largest absolute values, ``(pieces or 1, *shape)``."""
    sizes = layer.absolute(largest)
    if layer.magnitude is not None:
        sizes = sizes + layer.form("magnitude", sizes)
    # Covers the rounding of this very computation, of which no term is negative.
    return sizes * (1 + 4 * gamma(layer.terms + SPARE, unit_roundoff(sizes.dtype)))


def signed_sum(operation: Operation, sign: float) -> Result:
    """The sum or difference of two tensors of one shape."""
    first, second = operation.inputs
    slopes = torch.add(*aligned(first.slopes, second.slopes), alpha=sign)
    sizes = operation.size(0) + operation.size(1)
    radius = (first.radius + second.radius).mul_(1 + 4 * operation.working)
    radius = radius.add_(slopes.abs().sum(dim=1), alpha=SPARE * operation.working)
    radius = radius.add_(sizes, alpha=SPARE * CENTRE + 2 * operation.executed).add_(UNDERFLOW)
    charged = sizes * (SPARE * operation.working + 2 * operation.executed) + UNDERFLOW
    enclosure = Enclosure(torch.add(first.centre, second.centre, alpha=sign), slopes, radius)
    return Result(enclosure, SignedSumStep(operation.sources, None, charged, sign))


def concatenation(operation: Operation) -> Result:
    """Tensors side by side along a dimension above 0."""
    dimension = int(operation.arguments[1]) if len(operation.arguments) > 1 else 0
    inputs = operation.inputs
    dimension %= inputs[0].centre.dim()
    enclosure = Enclosure(
        torch.cat([item.centre for item in inputs], dim=dimension),
        torch.cat(aligned(*[item.slopes for item in inputs]), dim=dimension + 1),
        torch.cat([item.radius for item in inputs], dim=dimension),
    )
    sizes = tuple(int(item.centre.shape[dimension]) for item in inputs)
    return Result(enclosure, ConcatenationStep(operation.sources, None, None, dimension, sizes))
