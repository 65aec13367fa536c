"""What a bound engine needs of an affine map y = L x + s, and what its execution may round off.

L carries centres and slopes; |L|, the map of L's absolute coefficients, carries radii; L transposed carries the
coefficients of a specification backwards.

Rounding. Executed in a floating-point format with unit roundoff u, in any order of summation, with or without fused
multiply-adds, a map differs from the exact one by at most

    gamma_n (|L| |x| + m),    gamma_n = n u / (1 - n u),

where n is `LinearMap.terms` and m `LinearMap.magnitude` (Higham, Accuracy and Stability of Numerical Algorithms, 2002,
section 3.1, applied to sums of products). It holds for every way in which the operation is usually executed: a batch
norm in its own right or folded into the layer before it, a mean as a sum that is divided or a sum of quotients. It
assumes that convolutions are sums of products, as onnxruntime's on CPUs are; Winograd's algorithm and Fourier
transforms are not. Results below the format's normal range are not covered: who uses this adds what underflow may lose.

A coefficient that is itself known only after k roundings (a scale of batch norm) counts k of the n. So does a
coefficient that the format cannot hold, which every use rounds once.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Norms(NamedTuple):
    """Upper bounds of 2-norms of a map's linear part L.

    Attributes:
        rows: of each row, broadcastable to the output's shape without its batch, float64.
        whole: of L, its largest singular value.
        absolute: of |L|.
    """

    rows: Tensor
    whole: float
    absolute: float


class LinearMap(nn.Module):
    """An affine map of one tensor; the first dimension is a batch of independent values.

    `linear`, `absolute` and `transposed` work in the precision of what they are given.

    Args:
        terms: n of the module's bound on rounding; 0 for a map that only moves values.
        shift: s, broadcastable to the output's shape without its batch; None is 0.
        magnitude: m, likewise: the absolute values of all constants that an execution may add, summed up; by default
            |s|. None where nothing is added.
        back_terms: n of the same bound for L transposed; by default ``terms``.
    """

    shift: Tensor | None
    magnitude: Tensor | None

    def __init__(
        self,
        terms: int,
        shift: Tensor | None = None,
        magnitude: Tensor | None = None,
        back_terms: int | None = None,
    ) -> None:
        super().__init__()
        self.terms = terms
        self.back_terms = terms if back_terms is None else back_terms
        self.register_buffer("shift", shift)
        self.register_buffer("magnitude", shift.abs() if magnitude is None and shift is not None else magnitude)
        self._forms: dict[tuple[str, torch.dtype, torch.device, bool], Tensor] = {}
        self._norms: dict[tuple[torch.Size, torch.device], Norms] = {}

    @abstractmethod
    def linear(self, values: Tensor) -> Tensor:
        """Return L applied to ``(batch, *input)``: ``(batch, *output)``."""

    @abstractmethod
    def absolute(self, radii: Tensor) -> Tensor:
        """Return |L| applied to ``(batch, *input)``."""

    @abstractmethod
    def transposed(self, cotangents: Tensor) -> Tensor:
        """Return L transposed applied to ``(batch, *output)``: ``(batch, *input)``."""

    def counted(self, marked: Tensor) -> Tensor:
        """Return how many of each output's `terms` are of marked inputs, or fewer.

        Args:
            marked: ``(batch, *input)``, 1 for marked ones, else 0.

        Returns:
            Something that broadcasts against ``(batch, *output)``; 0 unless the map knows better.
        """
        return marked.new_zeros(())

    def forward(self, values: Tensor) -> Tensor:
        """Return L values + s."""
        result = self.linear(values)
        return result if self.shift is None else result + self.form("shift", values)

    def row_norms(self) -> Tensor | None:
        """Return upper bounds of the rows' 2-norms, see `Norms.rows`; None where the map knows no better than sums."""
        return None

    def spectral_norm(self) -> float:
        """Return an upper bound of L's largest singular value; infinity where the map knows none of its own."""
        return torch.inf

    def norms(self, shape: torch.Size, device: torch.device) -> Norms:
        """Return upper bounds of 2-norms for inputs of a shape without its batch; they are computed once.

        Whatever the map, ``||L||_2`` is at most the square root of the largest row sum times the largest column sum of
        |L| (Schur's test).
        """
        key = (shape, device)
        if key not in self._norms:
            ones = torch.ones(1, *shape, dtype=torch.float64, device=device)
            # Once outside of differentiation, which would leave its own tensors among the forms.
            sums = self.absolute(ones)
            with torch.enable_grad():
                inputs = ones.clone().requires_grad_()
                (column_sums,) = torch.autograd.grad(self.absolute(inputs).sum(), inputs)
            schur = float((sums.amax() * column_sums.amax()).sqrt()) * (1 + 1e-9)
            rows = self.row_norms()
            rows = sums[0] if rows is None else rows
            self._norms[key] = Norms(rows * (1 + 1e-9), min(schur, self.spectral_norm()), schur)
        return self._norms[key]

    def form(self, name: str, like: Tensor, *, absolute: bool = False) -> Tensor:
        """Return one of the map's buffers, or its absolute values, in the precision of ``like``; each is made once."""
        buffer: Tensor = getattr(self, name)
        key = (name, like.dtype, buffer.device, absolute)
        if key not in self._forms:
            converted = buffer.to(like.dtype)
            self._forms[key] = converted.abs() if absolute else converted
        return self._forms[key]


def roundings(coefficients: Tensor) -> int:
    """Return 1 if float32 cannot hold some coefficient, so that using it rounds it, and 0 otherwise."""
    return 0 if torch.equal(coefficients.double(), coefficients.float().double()) else 1
