"""The bound engine: forward passes for all pieces, backward passes where they pay."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, fx
from torch.nn import functional

from usncli.bounding.affine.batch import Batch
from usncli.bounding.affine.effort import Bounder, Effort
from usncli.bounding.affine.enclosure import flattened, from_lines
from usncli.bounding.affine.forward import TooManyErrorsError
from usncli.bounding.affine.looseness import looseness_by_activation
from usncli.bounding.affine.plan import make_plan
from usncli.bounding.affine.side_by_side import side_by_side
from usncli.bounding.affine.tightening import share_to_keep, tighten
from usncli.bounding.affine.widths import Widths
from usncli.bounding.engine import POWER, Bounded, Work
from usncli.bounding.method import Arithmetic
from usncli.perturbing import Lines

FAILED = 3.0
"""About what an attempt with symbols costs that ends early for want of room, in passes."""
SHARED = 1
"""Directions beyond theta's own that a forward pass without symbols carries."""
MOST_PIECES = 64
"""Pieces in a batch: parts enough for four threads."""
MOST_IN_A_PART = 16
"""Pieces that one thread bounds at once; with more, none is cheaper."""
MOST_VALUES = 2**20
"""Values of one node that one thread bounds at once: larger tensors are memory fresh from the system each time."""


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
        self._working = working
        self.relus = plan.activations
        held = sum(plan.sizes.values()) * (8 + 8 * working.itemsize)
        self.pieces_at_once = int(max(1, min(MOST_PIECES, effort.memory / held)))
        self._in_a_part = self.pieces_at_once
        if example.device.type == "cpu":
            self._in_a_part = max(1, min(MOST_IN_A_PART, MOST_VALUES // max(plan.sizes.values())))
        shared = effort.memory / math.ceil(self.pieces_at_once / self._in_a_part)
        self._bounder = Bounder(network, plan, arithmetic, replace(effort, memory=shared))
        with_symbols = sum(plan.sizes.values()) * 8 * (4 + effort.symbols)
        self._symbols_at_once = int(max(1, min(MOST_PIECES, effort.memory / with_symbols)))
        self._widths = Widths()

    def forget(self) -> None:
        """Forget for pieces of what width keeping errors apart paid."""
        self._widths.forget()

    def lower_bounds(self, work: Work) -> Bounded:
        """Bound the wanted rows over each piece; see `BoundEngine.lower_bounds`."""
        with torch.no_grad(), plain_products():
            return self._lower_bounds(work)

    def _lower_bounds(self, work: Work) -> Bounded:
        """Bound pieces without symbols; then with them those left open for which that seems to pay."""
        started = time.monotonic()
        extents = flattened(work.images.lower_slope[:, : work.dimension].abs(), 1).amax(dim=1)
        every = torch.arange(len(extents), device=self.device)
        parts = [work.pieces(some) for some in every.chunk(math.ceil(len(every) / self._in_a_part))]
        found = [torch.cat(of_parts) for of_parts in zip(*side_by_side(self._ordinary, parts), strict=True)]
        bounds, split, passes, share = found
        for pieces in _groups(self._promising(work, bounds, extents), self._symbols_at_once, started + work.seconds):
            pieces = pieces[self._widths.worth_trying(work.queries[pieces], extents[pieces])]
            if len(pieces):
                self._try_symbols(work, pieces, extents, bounds, passes)
        # Parts that symbols are known to close are narrow enough; to find larger ones, parts are twice as wide.
        closed = self._widths.paid(work.queries).clamp(min=0)
        share = torch.maximum(share, (2 * closed / extents).clamp(max=0.5).pow(POWER))
        return Bounded(torch.where(work.wanted, bounds, -torch.inf), split, passes, share)

    @torch.no_grad()
    def _ordinary(self, work: Work) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Bound pieces without symbols; return bounds, split, passes and share, see `Bounded`."""
        batch = Batch(self._bounder, from_lines(work.images, self._working, work.dimension + SHARED), work.dimension)
        bounds = tighten(batch, work, batch.bounds(work.rows))
        return bounds, batch.split(work.dimension), batch.passes.to(self.device), share_to_keep(batch, work, bounds)

    def _promising(self, work: Work, bounds: Tensor, extents: Tensor) -> Tensor:
        """Return the pieces that symbols may close: no row fails at the centre, and halving alone would take long.

        Or symbols have closed a piece as wide.
        """
        still_open = work.wanted & ~work.proved(bounds)
        need = work.centre - work.threshold.unsqueeze(1)
        far = still_open & ~(need > self._bounder.effort.hopeless * (work.centre - bounds))
        fails = (work.wanted & ~(need > 0)).any(dim=1)
        paid = still_open.any(dim=1) & (extents <= self._widths.paid(work.queries))
        chosen = ((far.any(dim=1) | paid) & ~fails).nonzero().squeeze(1)
        return chosen[extents[chosen].argsort(stable=True)]

    def _try_symbols(self, work: Work, pieces: Tensor, extents: Tensor, bounds: Tensor, passes: Tensor) -> None:
        """Bound some pieces with every error kept apart, in place, and learn for pieces of what width that pays.

        One piece that has too many errors, as where many pixels begin to be clipped, says nothing of the others.
        """
        self._keep_apart(work, pieces, bounds, passes)
        proved = (work.proved(bounds) | ~work.wanted)[pieces].all(dim=1)
        self._widths.learn(work.queries[pieces], extents[pieces], proved)

    def _keep_apart(self, work: Work, pieces: Tensor, bounds: Tensor, passes: Tensor) -> None:
        """Bound pieces with every error kept apart, in place; those whose errors are too many stay as they were."""
        some = work.pieces(pieces)
        try:
            batch = Batch(self._bounder, from_lines(some.images, torch.float64), work.dimension, symbols=True)
        except TooManyErrorsError:
            passes[pieces] += FAILED
            if len(pieces) > 1:
                for half in pieces.chunk(2):
                    self._keep_apart(work, half, bounds, passes)
            return
        found = tighten(batch, some, batch.bounds(some.rows))
        bounds[pieces] = torch.fmax(bounds[pieces], found)
        passes[pieces] += batch.passes.to(self.device)

    def looseness(self, images: Lines, outputs: Tensor) -> dict[str, Tensor]:
        """Return what relaxing each activation's values adds to the looseness of outputs over pieces.

        Args:
            images: lines of the network's normalised input over each piece; all directions are theta's.
            outputs: ``(pieces, rows)``, int64, positions of the outputs that are looked at.

        Returns:
            See `usncli.bounding.affine.looseness.looseness_by_activation`.
        """
        with torch.no_grad(), plain_products():
            batch = Batch(self._bounder, from_lines(images, self._working), images.lower_slope.shape[1])
            values = self._bounder.plan.sizes[self._bounder.plan.nodes[-1]]
            return looseness_by_activation(batch, functional.one_hot(outputs, values).to(self._working))

    def crossing_relus(self, images: Lines) -> dict[str, Tensor]:
        """Return how many activations' inputs have bounds on both sides of 0; see `BoundEngine.crossing_relus`."""
        with torch.no_grad(), plain_products():
            state = Batch(self._bounder, from_lines(images, self._working), 1).state
        nothing = torch.zeros(len(images.lower), dtype=torch.int64, device=self.device)
        counts = dict.fromkeys(self.relus, nothing)
        for name, layer in self._bounder.plan.read.items():
            lower, upper = state.intervals[name]
            counts[layer] = counts[layer] + flattened((~(lower >= 0) & ~(upper <= 0)), 1).sum(dim=1)
        return counts


def _groups(pieces: Tensor, most: int, deadline: float) -> Iterator[Tensor]:
    """Cut pieces into groups: the first alone, as a trial, then as many as fit, into the time left too."""
    length = 1
    while len(pieces) and (before := time.monotonic()) < deadline:
        yield pieces[:length]
        pieces = pieces[length:]
        now = time.monotonic()
        length = int(max(1, min(most, (deadline - now) * length / max(now - before, 1e-9))))


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
