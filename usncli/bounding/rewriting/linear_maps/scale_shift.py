"""A scale and a shift of every element."""

from __future__ import annotations

from torch import Tensor

from usncli.bounding.rewriting.linear_maps.linear_map import LinearMap, roundings


class ScaleShift(LinearMap):
    """y = scale x + shift, elementwise: one product and one sum.

    Args:
        scale: broadcastable to the input's shape without its batch.
        shift: likewise; None is 0.
        coefficient_terms: roundings by which scale and shift are known; by default 1 if float32 cannot hold them.
        magnitude: see `LinearMap`.
    """

    scale: Tensor

    def __init__(
        self,
        scale: Tensor,
        shift: Tensor | None = None,
        coefficient_terms: int | None = None,
        magnitude: Tensor | None = None,
    ) -> None:
        if coefficient_terms is None:
            coefficient_terms = max(roundings(scale), 0 if shift is None else roundings(shift))
        super().__init__(coefficient_terms + (1 if shift is None else 2), shift, magnitude, coefficient_terms + 1)
        self.register_buffer("scale", scale)

    def row_norms(self) -> Tensor:
        """Return the scale's absolute values."""
        return self.scale.double().abs()

    def linear(self, values: Tensor) -> Tensor:
        """Return the scaled values."""
        return values * self.form("scale", values)

    def absolute(self, radii: Tensor) -> Tensor:
        """Return radii scaled by the scale's absolute value."""
        return radii * self.form("scale", radii, absolute=True)

    def transposed(self, cotangents: Tensor) -> Tensor:
        """Return the scaled cotangents: a diagonal map is its own transpose."""
        return cotangents * self.form("scale", cotangents)
