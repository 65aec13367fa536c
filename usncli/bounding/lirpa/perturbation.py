"""The perturbation through which auto_LiRPA sees a piece of theta: values between two lines."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from usncli.bounding.lirpa.parts import LinearBound, perturbations
from usncli.perturbing import Lines


class LinesPerturbation(perturbations.PerturbationLpNorm):  # type: ignore[misc]
    """Says that a node's value lies between two lines in t, t in [-1, 1]^d: the input image, or an inner layer.

    auto_LiRPA takes it for an l-infinity box of the same extent wherever it asks no more than that.

    Args:
        lines: the two lines.
        sums: where backward passes leave their slopes in t, one a node; None concretizes each node by itself.
    """

    def __init__(self, lines: Lines, sums: list[Tensor] | None = None) -> None:
        super().__init__(norm=float("inf"), x_L=lines.minimum(), x_U=lines.maximum())
        self.lines = lines
        self.sums = sums

    def init(self, x: Tensor, aux: object = None, forward: bool = False) -> tuple[Any, Tensor, None]:
        """Start bound propagation: the lines themselves in forward mode, the box around them otherwise."""
        lines = self.lines
        if forward:
            return LinearBound(*lines, self.x_L, self.x_U), x, None
        return LinearBound(None, None, None, None, self.x_L, self.x_U), x, None

    def concretize(
        self,
        x: Tensor,
        A: Any,  # noqa: N803
        sign: int = -1,
        aux: object = None,
        extra_constr: object = None,
    ) -> Tensor | None:
        """Return the least (sign -1) or greatest (+1) value of A times the node's value over the piece.

        A has shape ``(pieces, rows, values)``.
        """
        if A is None:
            return None
        slope, offset = self._line(A.reshape(*A.shape[:2], -1), sign)
        if self.sums is not None:
            self.sums.append(slope)
            return offset
        return offset + sign * slope.abs().sum(dim=-1)

    def _line(self, matrix: Tensor, sign: int) -> tuple[Tensor, Tensor]:
        """Return slope ``(pieces, rows, dimension)`` and value at the centre ``(pieces, rows)`` of A times the node."""
        lines = self.lines
        pieces, directions = lines.lower_slope.shape[:2]
        lower_slope, upper_slope = (
            slope.reshape(pieces, directions, -1).transpose(1, 2) for slope in (lines.lower_slope, lines.upper_slope)
        )
        lower, upper = (offset.reshape(pieces, -1, 1) for offset in (lines.lower, lines.upper))
        if lines.lower_slope is lines.upper_slope and lines.lower is lines.upper:
            slope = torch.bmm(matrix, lower_slope)
            return slope, torch.bmm(matrix, lower).squeeze(2)
        positive, negative = matrix.clamp(min=0), matrix.clamp(max=0)
        if sign > 0:
            positive, negative = negative, positive
        if lines.lower_slope is lines.upper_slope:
            slope = torch.bmm(matrix, lower_slope)
        else:
            slope = torch.bmm(positive, lower_slope)
            slope = slope + torch.bmm(negative, upper_slope)
        offset = torch.bmm(positive, lower)
        offset = offset + torch.bmm(negative, upper)
        return slope, offset.squeeze(2)
