"""Affine maps, sums and concatenations."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from usncli.bounding.affine.enclosure import Enclosure, aligned, flattened, length_of
from usncli.bounding.affine.rounding import CENTRE, SUMMED, UNDERFLOW, gamma, unit_roundoff
from usncli.bounding.affine.rules.operation import SPARE, Operation, Result
from usncli.bounding.affine.steps import AffineStep, ConcatenationStep, SignedSumStep
from usncli.bounding.rewriting.linear_maps import LinearMap


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
        radius = layer.absolute(given.radius)
        copies = layer.norms(given.centre.shape[1:], given.centre.device).whole
        length = given.error_length() * (copies * (1 + SUMMED))
        return Result(Enclosure(centre, slopes, radius, length), step)
    loss = gamma(layer.terms + SPARE + slopes.shape[1], operation.working)
    largest = operation.size()
    sizes, executed = _sizes(layer, largest), _executed(operation, largest)
    radius = layer.absolute(torch.add(given.radius, given.slopes.abs().sum(dim=1), alpha=loss))
    own = sizes * (gamma(layer.terms + SPARE, CENTRE) + executed) + UNDERFLOW
    radius = radius.mul_(1 + 2 * loss).add_(own)
    radius, length = _shortened(layer, given, radius, own, loss)
    charged = sizes * (gamma(layer.back_terms + SPARE, operation.working) + executed) + UNDERFLOW
    return Result(Enclosure(centre, slopes, radius, length), AffineStep(operation.sources, shift, charged, layer))


def _shortened(layer: LinearMap, given: Enclosure, radius: Tensor, own: Tensor, loss: float) -> tuple[Tensor, Tensor]:
    """Return the radii that both norms of the error allow after a map, and the error's length.

    An error e becomes L e, whose entries are at most the rows' norms times ||e|| (Cauchy and Schwarz). What the slopes
    S lose, at most ``loss |L| sum_d |S_d|``, is bounded likewise; ``own`` is what the map itself rounds off.
    """
    norms = layer.norms(given.centre.shape[1:], given.centre.device)
    before = given.error_length()
    # Twice, and the spare factors, for the rounding of the slopes' own lengths and of these few operations.
    lost = sum(length_of(given.slopes[:, direction]) for direction in range(given.slopes.shape[1])) * (2 * loss)
    length = (before * norms.whole + lost * norms.absolute + length_of(own)) * (1 + SUMMED)
    units = 1 + 8 * unit_roundoff(radius.dtype)
    reach = ((before + lost) * (1 + SUMMED)).to(radius.dtype) * units
    rows = norms.rows.to(radius.dtype) * units
    if not bool((reach * rows.amax() < flattened(radius, 1).amax(dim=1)).any()):
        return radius, length
    by_length = (own + rows * reach.view(-1, *[1] * (radius.dim() - 1))) * units
    return torch.minimum(radius, by_length), length


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


def _executed(operation: Operation, largest: Tensor) -> Tensor | float:
    """Return the share of sizes that executing a map may miss, a number or ``(pieces, *shape)``.

    Adding or multiplying zeros rounds nothing, whatever the order, so that only what may be other than zero counts:
    most values that ReLUs left are none. gamma_n / n grows with n.
    """
    layer: LinearMap = operation.layer
    roundoff = operation.executed
    share = gamma(layer.terms, roundoff)
    zero = (largest == 0).to(largest.dtype)
    if not roundoff or not layer.terms or not bool(zero.any()):
        return share
    kept = layer.terms - layer.counted(zero)
    return kept * (share / layer.terms * (1 + 2.0**-20))


def signed_sum(operation: Operation, sign: float) -> Result:
    """The sum or difference of two tensors of one shape."""
    first, second = operation.inputs
    slopes = torch.add(*aligned(first.slopes, second.slopes), alpha=sign)
    sizes = operation.size(0) + operation.size(1)
    own = sizes * (SPARE * CENTRE + 2 * operation.executed) + UNDERFLOW
    lost = slopes.abs().sum(dim=1).mul_(SPARE * operation.working).add_(own)
    length = first.error_length() + second.error_length() + length_of(lost)
    radius = (first.radius + second.radius).mul_(1 + 4 * operation.working).add_(lost)
    charged = sizes * (SPARE * operation.working + 2 * operation.executed) + UNDERFLOW
    enclosure = Enclosure(torch.add(first.centre, second.centre, alpha=sign), slopes, radius, length)
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
