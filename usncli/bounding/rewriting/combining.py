"""Nonlinear layers of a rewritten network that read more than one value: products and maxima over windows."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Product(nn.Module):
    """The elementwise product of two tensors of as many axes; where one has size 1 along an axis, it is broadcast."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the product."""
        return first * second


class MaximumOverWindows(nn.Module):
    """The maximum over windows of the last two axes.

    Args:
        rows: which rows each row of windows sees, ``(window height, output height)``; one may come twice.
        columns: likewise, ``(window width, output width)``.
        width: of the input.

    Attributes:
        windows: positions in the flattened last two axes, ``(window height * window width, outputs)``.
        output_sizes: height and width of the output.
    """

    windows: Tensor

    def __init__(self, rows: Tensor, columns: Tensor, width: int) -> None:
        super().__init__()
        self.output_sizes = (rows.shape[1], columns.shape[1])
        positions = rows[:, None, :, None] * width + columns[None, :, None, :]
        self.register_buffer("windows", positions.reshape(len(rows) * len(columns), -1))

    def forward(self, values: Tensor) -> Tensor:
        """Return the maxima of ``(batch, ..., height, width)``."""
        flat = values.flatten(-2)
        result = flat.index_select(-1, self.windows[0])
        for positions in self.windows[1:]:
            result = torch.maximum(result, flat.index_select(-1, positions))
        return result.reshape(*values.shape[:-2], *self.output_sizes)
