"""What a rule is given and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from usncli.bounding.affine.enclosure import Enclosure, aligned, flattened
from usncli.bounding.affine.rounding import CENTRE, SUMMED, unit_roundoff
from usncli.bounding.affine.steps import DiagonalStep, Step
from usncli.bounding.method import Arithmetic

SPARE = 16
"""Units of roundoff for the elementwise operations around a map, of which there are fewer."""
ALIKE = 4.0
"""Pieces are alike where the sum of what is the largest in any of them is at most this much of each one's own sum."""


class Operation(NamedTuple):
    """One node of a rewritten network with what its rule needs.

    Attributes:
        sources: names of the nodes that it reads.
        inputs: their enclosures.
        interval: least and greatest value of the first input; None where nothing reads it.
        refined: whether that is narrower than the enclosure's own interval.
        largest: at least the largest absolute value of each input, ``(pieces or 1, *shape)``; None is unknown.
        layer: the module, for ``call_module`` nodes.
        arguments: positional arguments of the node.
        arithmetic: whose result is bounded.
    """

    sources: tuple[str, ...]
    inputs: tuple[Enclosure, ...]
    interval: tuple[Tensor, Tensor] | None
    refined: bool
    largest: tuple[Tensor | None, ...]
    layer: Any
    arguments: tuple[Any, ...]
    arithmetic: Arithmetic

    def range(self) -> tuple[Tensor, Tensor]:
        """Return the least and the greatest value of the only input."""
        (given,) = self.inputs
        return given.interval() if self.interval is None else self.interval

    def size(self, index: int = 0) -> Tensor:
        """Return at least the largest absolute value of an input, ``(pieces or 1, *shape)``."""
        known = self.largest[index]
        return self.over_pieces(self.inputs[index].largest()) if known is None else known

    def over_pieces(self, sizes: Tensor) -> Tensor:
        """Return what rounding is a share of, ``(pieces, *shape)``, as one for all pieces where that does no harm.

        Terms of rounding are small, so pieces that are alike may have those of the largest, which is computed once. Not
        so where float32 rounds, where that is part of the claim; and a piece that is far wider than another, or whose
        sizes are no numbers, must not spoil the other.
        """
        if self.executed:
            return sizes
        shared = sizes.amax(dim=0, keepdim=True)
        alike = shared.sum() <= ALIKE * flattened(sizes, 1).sum(dim=1).amin()
        return shared if bool(alike) else sizes

    @property
    def working(self) -> float:
        """Roundoff of the precision of slopes and radii."""
        return unit_roundoff(self.inputs[0].radius.dtype)

    @property
    def executed(self) -> float:
        """Roundoff of the execution that the claim is about; 0 for exact arithmetic."""
        return unit_roundoff(torch.float32) if self.arithmetic == Arithmetic.FLOAT32 else 0.0


class Result(NamedTuple):
    """What a rule returns; see the package's docstring.

    Attributes:
        enclosure: of the operation's affine part.
        step: for backward passes.
        error: ``(pieces, *shape)``, radius that the relaxation adds; None is 0.
        largest: at least the largest absolute value of the value and of the enclosure's centre,
            ``(pieces or 1, *shape)``, where the rule knows it.
    """

    enclosure: Enclosure
    step: Step
    error: Tensor | None = None
    largest: Tensor | None = None


Rule = Callable[[Operation], Result]


class Errors(NamedTuple):
    """What a relaxed operation may miss, ``(pieces, *shape)`` each.

    Attributes:
        own: of the relaxation, and of the network's execution where the claim is about that.
        sizes: at least the sum of absolute products of slopes and values, and the shift.
        moved: at least the sum of absolute products of slopes and the inputs' spreads.
    """

    own: Tensor
    sizes: Tensor
    moved: Tensor


def diagonal(operation: Operation, slopes: tuple[Tensor, ...], shift: Tensor, errors: Errors) -> Result:
    """Return slopes times inputs plus a shift, rounding included.

    Forward, a centre in float64 loses units of 2^-53 of the sizes, and slopes and radii in the working precision units
    of what they hold, so that nothing but float64's rounding is left of a piece without width. Backward, coefficients
    lose units of the working precision of the sizes.
    """
    centre, radius = shift.to(operation.inputs[0].centre.dtype), torch.zeros_like(errors.own)
    carried = []
    for given, slope in zip(operation.inputs, slopes, strict=True):
        centre = centre + given.centre * slope
        carried.append(given.slopes * slope.unsqueeze(1))
        radius = radius + given.radius * slope.abs()
    directions = carried[0] if len(carried) == 1 else torch.add(*aligned(*carried))
    radius = radius.mul_(1 + SPARE * operation.working)
    shapes = tuple(given.centre.shape[1:] for given in operation.inputs)
    error = errors.own + errors.moved * (SPARE * operation.working) + errors.sizes * (SPARE * CENTRE)
    charged = errors.own + errors.sizes * (SPARE * operation.working)
    step = DiagonalStep(operation.sources, shift, charged, slopes, shapes)
    return Result(Enclosure(centre, directions, radius, _length(operation, slopes, shapes)), step, error)


def _length(operation: Operation, slopes: tuple[Tensor, ...], shapes: tuple[torch.Size, ...]) -> Tensor:
    """Return at least the 2-norm of the sum of slopes times errors.

    An error that is broadcast meets several slopes, so that it grows by their 2-norm at most.
    """
    lengths = []
    for given, slope, shape in zip(operation.inputs, slopes, shapes, strict=True):
        several = [axis + 1 for axis, size in enumerate(shape) if size != slope.shape[axis + 1]]
        squares = slope.double().square()
        squares = squares.sum(dim=several, keepdim=True) if several else squares
        lengths.append(given.error_length() * flattened(squares, 1).amax(dim=1).sqrt())
    return torch.stack(lengths).sum(dim=0) * (1 + SUMMED)
