"""Weighted sums along axes: averages, sums and resizing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import torch
from torch import Tensor

from usncli.bounding.rewriting.linear_maps.linear_map import LinearMap


class AlongAxes(LinearMap):
    """A matrix along each of some axes: y = (M_1 (x) M_2 ...) x.

    A coefficient is the product of one of each matrix. Their number in an output, the product of the numbers of
    nonzeros in the rows, bounds the sum of an execution that takes all axes at once, their sum that of one that takes
    them in turn.

    Args:
        matrices: ``(outputs, inputs)`` each, by axis, counted from the end: -1 is the last.
        coefficient_terms: roundings by which a coefficient is known.
        doubt: matrices without negative entries to add to the absolute values, which makes room for coefficients that
            an execution computes where they should be 0; see `usncli.bounding.rewriting.rules.averages`.
    """

    def __init__(
        self, matrices: Mapping[int, Tensor], coefficient_terms: int, doubt: Mapping[int, Tensor] | None = None
    ) -> None:
        absolute = {axis: matrix.abs() + (doubt[axis] if doubt else 0.0) for axis, matrix in matrices.items()}
        supports = [matrix != 0 for matrix in absolute.values()]
        terms, back_terms = (_terms([int(support.sum(dim=dim).max()) for support in supports]) for dim in (1, 0))
        super().__init__(terms + coefficient_terms, back_terms=back_terms + coefficient_terms)
        self._axes = tuple(matrices)
        for axis in self._axes:
            self.register_buffer(f"matrix{-axis}", matrices[axis])
            self.register_buffer(f"absolute{-axis}", absolute[axis])

    def linear(self, values: Tensor) -> Tensor:
        """Return the sums."""
        for axis in self._axes:
            values = _along(values, self.form(f"matrix{-axis}", values), axis)
        return values

    def absolute(self, radii: Tensor) -> Tensor:
        """Return the sums with absolute coefficients, and the doubt."""
        for axis in self._axes:
            radii = _along(radii, self.form(f"absolute{-axis}", radii), axis)
        return radii

    def transposed(self, cotangents: Tensor) -> Tensor:
        """Return the transposed matrices' product with the cotangents."""
        for axis in reversed(self._axes):
            cotangents = _along(cotangents, self.form(f"matrix{-axis}", cotangents).T, axis)
        return cotangents


def _terms(counts: Sequence[int]) -> int:
    return prod(counts) + sum(counts)


def _along(values: Tensor, matrix: Tensor, axis: int) -> Tensor:
    return torch.matmul(values.movedim(axis, -1), matrix.T).movedim(-1, axis)
