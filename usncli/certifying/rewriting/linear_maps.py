"""Layers of a rewritten network that are affine maps and know the map of their absolute coefficients.

A bound engine needs three things of an affine map y = L x + s: L itself, |L| (the same map with every coefficient
replaced by its absolute value, which carries radii) and s. Backward, it needs L transposed, which autograd gives.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn


class LinearMap(nn.Module):
    """An affine map of one tensor; the first dimension is a batch of independent values.

    Attributes:
        shift: s, broadcastable to the output's shape without its batch; None is 0.
    """

    shift: Tensor | None

    def __init__(self, shift: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("shift", shift)

    @abstractmethod
    def linear(self, values: Tensor) -> Tensor:
        """Return L applied to ``(batch, *shape)``."""

    @abstractmethod
    def absolute(self, radii: Tensor) -> Tensor:
        """Return |L| applied to ``(batch, *shape)``."""

    def forward(self, values: Tensor) -> Tensor:
        """Return L values + s."""
        result = self.linear(values)
        return result if self.shift is None else result + self.shift


class Monotone(LinearMap):
    """A map without negative coefficients and without a shift: pooling, resizing, padding with zeros, reordering.

    Args:
        function: maps ``(batch, *shape)`` for any batch.
        name: the operation, for people.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], name: str) -> None:
        super().__init__()
        self.function = function
        self.name = name

    def linear(self, values: Tensor) -> Tensor:
        """Return the function's value."""
        return self.function(values)

    def absolute(self, radii: Tensor) -> Tensor:
        """Return the function's value: its coefficients are their own absolute values."""
        return self.function(radii)

    def extra_repr(self) -> str:
        """Name the operation."""
        return self.name


class ScaleShift(LinearMap):
    """y = scale x + shift, elementwise.

    Args:
        scale: broadcastable to the input's shape without its batch.
        shift: likewise; None is 0.
    """

    scale: Tensor

    def __init__(self, scale: Tensor, shift: Tensor | None = None) -> None:
        super().__init__(shift)
        self.register_buffer("scale", scale)

    def linear(self, values: Tensor) -> Tensor:
        """Return the scaled values."""
        return values * self.scale

    def absolute(self, radii: Tensor) -> Tensor:
        """Return radii scaled by the scale's absolute value."""
        return radii * self.scale.abs()


class Weighted(LinearMap):
    """A convolution, transposed convolution or linear layer of any geometry.

    Args:
        layer: a ``torch.nn`` layer with ``weight`` and ``bias`` that pads with zeros.
    """

    def __init__(self, layer: nn.Module) -> None:
        bias = cast("Tensor | None", layer.bias)
        weight = cast(Tensor, layer.weight)
        spatial = 0 if isinstance(layer, nn.Linear) else weight.dim() - 2
        super().__init__(None if bias is None else bias.detach().reshape(-1, *[1] * spatial))
        self.layer = layer

    def linear(self, values: Tensor) -> Tensor:
        """Return the layer's value without its bias."""
        return self._apply_layer(values, cast(Tensor, self.layer.weight))

    def absolute(self, radii: Tensor) -> Tensor:
        """Return the layer's value with absolute weights, without its bias."""
        return self._apply_layer(radii, cast(Tensor, self.layer.weight).abs())

    def _apply_layer(self, values: Tensor, weight: Tensor) -> Tensor:
        state: dict[str, Any] = {"weight": weight}
        if self.layer.bias is not None:
            state["bias"] = torch.zeros_like(cast(Tensor, self.layer.bias))
        return cast(Tensor, torch.func.functional_call(self.layer, state, (values,)))
