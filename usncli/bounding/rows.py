"""Specification rows: what must stay above 0 for a property to hold."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from usncli.perturbing import Lines


class Rows(NamedTuple):
    """Rows ``sum_k coefficients[k] * outputs[indices[k]] + bias``, each of at most two outputs; above 0 is safe.

    Attributes:
        indices: ``(pieces, rows, 2)``, int64, into the flattened outputs.
        coefficients: ``(pieces, rows, 2)``; 0 for a term that is not used.
        bias: ``(pieces, rows)``.
    """

    indices: Tensor
    coefficients: Tensor
    bias: Tensor

    def values(self, outputs: Tensor) -> Tensor:
        """Return the rows' values ``(pieces, rows)`` at outputs ``(pieces, outputs)``."""
        return (_gathered(outputs, self.indices) * self.coefficients).sum(dim=2) + self.bias

    def minimum(self, outputs: Lines) -> Tensor:
        """Return the least values ``(pieces, rows)`` that lines ``(pieces, outputs)`` allow over each piece."""
        positive, negative = self.coefficients.clamp(min=0), self.coefficients.clamp(max=0)
        centre = _gathered(outputs.lower, self.indices) * positive + _gathered(outputs.upper, self.indices) * negative
        least = centre.sum(dim=2) + self.bias
        for direction in range(outputs.lower_slope.shape[1]):
            slope = _gathered(outputs.lower_slope[:, direction], self.indices) * positive
            slope = slope + _gathered(outputs.upper_slope[:, direction], self.indices) * negative
            least = least - slope.sum(dim=2).abs()
        return least

    def pieces(self, chosen: Tensor) -> Rows:
        """Return all rows of some pieces, ``(selected,)``."""
        return Rows(self.indices[chosen], self.coefficients[chosen], self.bias[chosen])

    def take(self, pieces: Tensor, rows: Tensor) -> Rows:
        """Return some rows of some pieces.

        Args:
            pieces: ``(selected,)``, which pieces.
            rows: ``(selected, count)``, which rows of each.
        """
        chosen = rows.unsqueeze(2).expand(-1, -1, 2)
        return Rows(
            self.indices[pieces].gather(1, chosen),
            self.coefficients[pieces].gather(1, chosen),
            self.bias[pieces].gather(1, rows),
        )

    def dense(self, outputs: int) -> Tensor:
        """Return the coefficients as a matrix ``(pieces, rows, outputs)``, without the bias."""
        matrix = self.coefficients.new_zeros(*self.bias.shape, outputs)
        return matrix.scatter_add_(2, self.indices, self.coefficients)

    def scaled(self, factor: Tensor, shift: Tensor) -> Rows:
        """Return the rows on raw outputs that equal these rows on ``factor * raw + shift``, both ``(outputs,)``."""
        bias = self.bias + (self.coefficients * shift[self.indices]).sum(dim=2)
        return Rows(self.indices, self.coefficients * factor[self.indices], bias)


def _gathered(values: Tensor, indices: Tensor) -> Tensor:
    return torch.gather(values, 1, indices.flatten(1)).view(indices.shape)
