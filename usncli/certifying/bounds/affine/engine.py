"""The bound engine: forward passes for all pieces, backward passes where they pay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, fx

from usncli.certifying.bounds.affine.batch import Batch, Bounder, Effort
from usncli.certifying.bounds.affine.enclosure import from_lines
from usncli.certifying.bounds.affine.plan import make_plan
from usncli.certifying.bounds.engine import Bounded, Work
from usncli.certifying.bounds.method import Arithmetic
from usncli.perturbing import Lines

MOST_PIECES = 32
"""Pieces in a batch beyond which nothing is gained."""


class AffineEngine:
    """Bounds rows by affine relaxations; see `BoundEngine`.

    Args:
        network: a rewritten network of the full vocabulary, in float64.
        example: ``(1, channels, height, width)``, on the device to work on.
        arithmetic: whose result is bounded.
        working: precision of slopes, radii and coefficients.
        effort: how much work to spend, and the memory to do it in.
    """

    def __init__(
        self,
        network: fx.GraphModule,
        example: Tensor,
        *,
        arithmetic: Arithmetic = Arithmetic.REAL,
        working: torch.dtype = torch.float32,
        effort: Effort | None = None,
    ) -> None:
        self.dtype, self.device = torch.float64, example.device
        effort = effort or Effort()
        plan = make_plan(network, example[:1].double())
        self._bounder = Bounder(network, plan, arithmetic, effort)
        self._working = working
        self.relus = plan.activations
        held = sum(plan.sizes.values()) * (8 + 8 * working.itemsize)
        self.pieces_at_once = int(max(1, min(MOST_PIECES, effort.memory / held)))

    def forget(self) -> None:
        """Nothing is kept from one query to the next."""

    def lower_bounds(self, work: Work) -> Bounded:
        """Bound the wanted rows over each piece; see `BoundEngine.lower_bounds`."""
        with torch.no_grad(), plain_products():
            batch = self._batch(work.images, work.dimension)
            bounds = batch.tighten(work, batch.bounds(work.rows))
            split = batch.split(work.images.lower_slope.shape[1])
        return Bounded(torch.where(work.wanted, bounds, -torch.inf), split, batch.passes.to(self.device))

    def crossing_relus(self, images: Lines) -> Tensor:
        """Return how many activations' inputs have bounds on both sides of 0 over each piece, ``(pieces,)``."""
        with torch.no_grad(), plain_products():
            state = self._batch(images, 1).state
        counts = torch.zeros(len(images.lower), dtype=torch.int64, device=self.device)
        for name in self._bounder.plan.read:
            lower, upper = state.enclosures[name].interval()
            counts += (~(lower >= 0) & ~(upper <= 0)).flatten(1).sum(dim=1)
        return counts

    def _batch(self, images: Lines, dimension: int) -> Batch:
        return Batch(self._bounder, from_lines(images, self._working), dimension)


@contextmanager
def plain_products() -> Iterator[None]:
    """Make products of float32 what the account of rounding assumes: no TF32, no Winograd or Fourier convolutions."""
    matmul = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with torch.backends.cudnn.flags(enabled=False), torch.backends.nnpack.flags(enabled=False):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = matmul
