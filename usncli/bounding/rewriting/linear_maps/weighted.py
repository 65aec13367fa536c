"""Layers with a weight and a bias: what they share, and the linear layer."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from usncli.bounding.rewriting.linear_maps.linear_map import LinearMap, roundings
from usncli.bounding.rewriting.linear_maps.norms import matrix_norm
from usncli.bounding.rewriting.linear_maps.scale_shift import ScaleShift


class Weighted(LinearMap):
    """A layer whose every output is a sum of weighted inputs and a bias of its channel.

    Args:
        weight: its layout is the layer's.
        bias: ``(channels,)``; None is 0.
        channels: of the output.
        summands: most products that an output sums.
        back_summands: most products that an input's cotangent sums.

    Attributes:
        channel_shape: shape in which one number a channel broadcasts against outputs: ``(channels, 1, 1)`` in 2-D.
    """

    weight: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None, channels: int, summands: int, back_summands: int) -> None:
        channel_shape = torch.Size((channels, *[1] * (weight.dim() - 2)))
        rounded = max(roundings(weight), 0 if bias is None else roundings(bias))
        shift = None if bias is None else bias.reshape(channel_shape)
        super().__init__(summands + (bias is not None) + rounded, shift, back_terms=back_summands + rounded)
        self.channel_shape = channel_shape
        self.register_buffer("weight", weight)

    def followed_by(self, scale: ScaleShift) -> Self | None:
        """Return this layer and a scale and shift after it as one layer; None where those differ within a channel.

        Its account of rounding covers the two executed one after the other, too: terms add up, since
        ``|scale| |L| = |scale L|`` for a diagonal scale, and the constants are those of both.
        """
        factor, shift, magnitude = (
            _a_channel(part, self.channel_shape) for part in (scale.scale, scale.shift, scale.magnitude)
        )
        if factor is None or (shift is None) != (scale.shift is None):
            return None
        merged = copy.deepcopy(self)
        merged.weight = self.weight * self.by_channel(factor.flatten())
        merged.shift = _sum(None if self.shift is None else factor * self.shift, shift)
        merged.magnitude = _sum(None if self.magnitude is None else factor.abs() * self.magnitude, magnitude)
        merged._forms, merged._norms = {}, {}
        merged.terms, merged.back_terms = self.terms + scale.terms, self.back_terms + scale.back_terms
        return merged

    @abstractmethod
    def apply_weight(self, values: Tensor, weight: Tensor) -> Tensor:
        """Return the layer's value with another weight and no bias."""

    @abstractmethod
    def by_channel(self, numbers: Tensor) -> Tensor:
        """Return one number an output channel, ``(channels,)``, such that it broadcasts against the weight."""

    def linear(self, values: Tensor) -> Tensor:
        """Return the layer's value without its bias."""
        return self.apply_weight(values, self.form("weight", values))

    def absolute(self, radii: Tensor) -> Tensor:
        """Return the layer's value with absolute weights, without its bias."""
        return self.apply_weight(radii, self.form("weight", radii, absolute=True))

    def counted(self, marked: Tensor) -> Tensor:
        """Return how many marked inputs each output sums."""
        return self.apply_weight(marked, torch.ones_like(self.weight, dtype=marked.dtype))


class Linear(Weighted):
    """A linear layer on the last axis.

    Args:
        weight: ``(outputs, inputs)``.
        bias: ``(outputs,)``; None is 0.
        input_axes: of its input, without the batch.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, input_axes: int = 1) -> None:
        super().__init__(weight, bias, weight.shape[0], weight.shape[1], weight.shape[0])
        self.input_axes = input_axes

    def apply_weight(self, values: Tensor, weight: Tensor) -> Tensor:
        """Return ``values weight^T``."""
        return functional.linear(values, weight)

    def by_channel(self, numbers: Tensor) -> Tensor:
        """Return the numbers as a column."""
        return numbers.unsqueeze(1)

    def row_norms(self) -> Tensor:
        """Return the norms of the weight's rows."""
        return self.weight.double().square().sum(dim=1).sqrt()

    def spectral_norm(self) -> float:
        """Return at least the weight's largest singular value."""
        return matrix_norm(self.weight.double())

    def transposed(self, cotangents: Tensor) -> Tensor:
        """Return ``cotangents weight``."""
        return cotangents @ self.form("weight", cotangents)


def _a_channel(values: Tensor | None, shape: Sequence[int]) -> Tensor | None:
    """Return one number a channel in the given shape, or None if the values differ within a channel."""
    if values is not None and values.numel() == 1:
        return values.reshape(()).expand(shape)
    return values if values is not None and values.shape == shape else None


def _sum(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return second if first is None else first if second is None else first + second
