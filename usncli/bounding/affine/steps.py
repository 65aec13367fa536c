"""What an operation is over pieces of theta: affine maps of its sources, plus a shift, give or take a radius.

    y = sum_i L_i x_i + shift + e,   |e| <= radius

holds for every theta of the piece. Forward passes carry enclosures through an operation, backward passes carry
coefficients of y to coefficients of the x_i by the transposed maps. The radius holds what relaxing the operation loses,
what the network's own execution may round off where that is part of the claim, and what rounding in `Step.back` may
lose: all of it is charged where it arises, times the coefficient that the output really has there.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol, Self, cast

import torch
from torch import Tensor

from usncli.bounding.affine.cells import Cells
from usncli.bounding.affine.enclosure import Enclosure, flattened
from usncli.bounding.affine.rounding import unit_roundoff
from usncli.bounding.rewriting.linear_maps import LinearMap


class Step(Protocol):
    """One operation over some pieces.

    Attributes:
        sources: names of the nodes that it reads.
        shift: ``(pieces or 1, *shape)``, broadcastable; None is 0.
        radius: likewise; None is 0.
    """

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the nodes that it reads."""

    @property
    def shift(self) -> Tensor | None:
        """Added to the maps' result."""

    @property
    def radius(self) -> Tensor | None:
        """How far from that the operation's value may be."""

    @property
    def centred(self) -> bool:
        """Whether the shift is nowhere above the radius, as where an error of one sign is centred."""

    def back(self, coefficients: Tensor) -> tuple[Tensor, ...]:
        """Return, for each source, L_i transposed applied to coefficients ``(pieces, rows, *shape)``."""

    def take(self, pieces: Tensor) -> Step:
        """Return the step of some pieces."""


@dataclass(frozen=True)
class Parts:
    """What all steps hold; see `Step`."""

    sources: tuple[str, ...]
    shift: Tensor | None
    radius: Tensor | None
    centred: bool = field(default=False, kw_only=True)

    def take(self, pieces: Tensor) -> Self:
        """Return the step of some pieces."""
        shift, radius = (None if part is None else taken(part, pieces) for part in (self.shift, self.radius))
        return replace(self, shift=shift, radius=radius)


def taken(part: Tensor, pieces: Tensor) -> Tensor:
    """Return some pieces' part of a tensor ``(pieces or 1, ...)``; one that is the same for all stays whole."""
    return part if part.shape[0] == 1 else part[pieces]


@dataclass(frozen=True)
class AffineStep(Parts):
    """A `LinearMap`, the same for all pieces."""

    layer: LinearMap

    def back(self, coefficients: Tensor) -> tuple[Tensor, ...]:
        """Carry back by the map's transpose."""
        flat = self.layer.transposed(coefficients.flatten(0, 1))
        return (flat.reshape(*coefficients.shape[:2], *flat.shape[1:]),)


@dataclass(frozen=True)
class DiagonalStep(Parts):
    """Slopes times sources, summed over the sources; a source may be broadcast.

    Attributes:
        slopes: one a source, ``(pieces, *shape)`` each.
        shapes: shape of each source without its pieces; an axis of size 1 may be broadcast.
    """

    slopes: tuple[Tensor, ...]
    shapes: tuple[torch.Size, ...]

    def back(self, coefficients: Tensor) -> tuple[Tensor, ...]:
        """Multiply, and sum over broadcast axes."""
        return tuple(
            _unbroadcast(coefficients * slope.unsqueeze(1), shape)
            for slope, shape in zip(self.slopes, self.shapes, strict=True)
        )

    def take(self, pieces: Tensor) -> DiagonalStep:
        """Return the step of some pieces."""
        return replace(super().take(pieces), slopes=tuple(slope[pieces] for slope in self.slopes))


@dataclass(frozen=True)
class ReluStep(DiagonalStep):
    """A ReLU: ``slope x + e`` where e, ``max(x, 0) - slope x``, is known by x; shift and radius tell its range only.

    Attributes:
        given: enclosure of x.
        interval: least and greatest value of x.
        chosen: which of the pieces of these two the step is about; None is all.
    """

    given: Enclosure
    interval: tuple[Tensor, Tensor]
    chosen: Tensor | None = field(default=None, kw_only=True)

    def take(self, pieces: Tensor) -> ReluStep:
        """Return the step of some pieces; what few values of are needed is not copied."""
        own = cast(ReluStep, super().take(pieces))
        return replace(own, chosen=pieces if self.chosen is None else self.chosen[pieces])

    def _at(self, part: Tensor, axes: int, values: Tensor) -> Tensor:
        """Return a part of what is known of x at some flattened values, for the step's pieces."""
        selected = flattened(part, axes).index_select(axes, values)
        return selected if self.chosen is None else selected.index_select(0, self.chosen)

    def errors(self, cells: Cells) -> tuple[Tensor, Tensor, Tensor]:
        """Bound e over each cell of the pieces, at the values that have any error in some piece.

        e is convex with its least value 0 at x = 0, so over an interval of x it is largest at an end.

        Returns:
            The values' positions ``(values,)`` in the flattened x, and least and greatest e,
            ``(pieces, values, cells)`` each.
        """
        slope, half = flattened(self.slopes[0], 1), self.radius
        assert half is not None
        undecided = (flattened(half, 1) != 0).any(dim=0).nonzero().squeeze(1)
        whole = self.given
        parts = ((whole.centre, 1), (whole.slopes, 2), (whole.radius, 1))
        given = Enclosure(*(self._at(part, axes, undecided) for part, axes in parts))
        slope = slope[:, undecided].unsqueeze(2)
        lower, upper = cells.intervals(given)
        lower = torch.maximum(lower, self._at(self.interval[0], 1, undecided).unsqueeze(2))
        upper = torch.minimum(upper, self._at(self.interval[1], 1, undecided).unsqueeze(2))
        at_ends = [value.clamp(min=0) - slope * value for value in (lower, upper)]
        inside = (lower <= 0) & (upper >= 0)
        least = torch.where(inside, torch.zeros_like(slope), torch.minimum(*at_ends))
        lost = (lower.abs() + upper.abs()) * (16 * unit_roundoff(slope.dtype))
        decided = flattened(half, 1)[:, undecided].unsqueeze(2) == 0
        least, most = least - lost, torch.maximum(*at_ends) + lost
        return undecided, least.masked_fill(decided, 0.0), most.masked_fill(decided, 0.0)


def _unbroadcast(values: Tensor, shape: torch.Size) -> Tensor:
    axes = [axis + 2 for axis, size in enumerate(shape) if size == 1 and values.shape[axis + 2] != 1]
    # In float64, so that however many values are summed no more is lost than in rounding the result.
    return values.sum(dim=axes, keepdim=True, dtype=torch.float64).to(values.dtype) if axes else values


@dataclass(frozen=True)
class SignedSumStep(Parts):
    """``x_1 + sign x_2`` of two tensors of one shape."""

    sign: float

    def back(self, coefficients: Tensor) -> tuple[Tensor, ...]:
        """Both get the coefficients, the second with the sign."""
        return coefficients, coefficients if self.sign > 0 else -coefficients


@dataclass(frozen=True)
class ConcatenationStep(Parts):
    """Sources side by side.

    Attributes:
        dimension: counted with the batch.
        sizes: of each source along it.
    """

    dimension: int
    sizes: tuple[int, ...]

    def back(self, coefficients: Tensor) -> tuple[Tensor, ...]:
        """Each source gets its part."""
        return tuple(torch.split(coefficients, list(self.sizes), dim=self.dimension + 1))


@dataclass(frozen=True)
class SelectionStep(Parts):
    """Each output is a mixture of two entries of its source: ``(1 - share) x[first] + share x[second]``.

    Attributes:
        first, second: ``(pieces, channels, outputs)``, positions within a channel of the source.
        share: likewise, in [0, 1].
        shapes: of source and result, without pieces; the first axis of both is channels.
    """

    first: Tensor
    second: Tensor
    share: Tensor
    shapes: tuple[torch.Size, torch.Size]

    def apply(self, values: Tensor) -> Tensor:
        """Apply the map to ``(pieces, *source)``, or to ``(pieces, directions, *source)``."""
        extra = values.dim() - 1 - len(self.shapes[0])
        flat = values.flatten(2 + extra)
        first, second, share = (_expanded(part, flat, extra) for part in (self.first, self.second, self.share))
        share = share.to(values.dtype)
        mixed = flat.gather(-1, first) * (1 - share) + flat.gather(-1, second) * share
        return mixed.reshape(*values.shape[: 1 + extra], *self.shapes[1])

    def back(self, coefficients: Tensor) -> tuple[Tensor, ...]:
        """Add each output's coefficient to the entries that it reads."""
        flat = coefficients.flatten(3)
        first, second, share = (_expanded(part, flat, 1) for part in (self.first, self.second, self.share))
        result = flat.new_zeros(*flat.shape[:3], self.shapes[0][1:].numel())
        result.scatter_add_(3, first, flat * (1 - share))
        result.scatter_add_(3, second, flat * share)
        return (result.reshape(*flat.shape[:2], *self.shapes[0]),)

    def take(self, pieces: Tensor) -> SelectionStep:
        """Return the step of some pieces."""
        parts = {name: getattr(self, name)[pieces] for name in ("first", "second", "share")}
        return replace(super().take(pieces), **parts)


def _expanded(part: Tensor, values: Tensor, extra: int) -> Tensor:
    for _ in range(extra):
        part = part.unsqueeze(1)
    return part.expand(*values.shape[: 1 + extra], *part.shape[1 + extra :])
