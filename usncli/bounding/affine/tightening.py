"""What a batch of pieces gets beyond its forward pass, and which pieces get it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from usncli.bounding.affine.batch import Batch
from usncli.bounding.affine.open_rows import carried_back
from usncli.bounding.affine.refining import refine_all
from usncli.bounding.engine import Work
from usncli.bounding.method import Arithmetic

CLOSE: Mapping[Arithmetic, float] = {Arithmetic.REAL: 0.45, Arithmetic.FLOAT32: 0.1}
"""Share of the looseness left by a row's backward pass that may stay, from which on refining layers is tried.

What an execution in float32 rounds off is not less in narrower pieces: there refining is tried sooner.
"""
TIGHTENING = 8.0
"""By what factor backward passes lower the looseness of a piece that they are worth, about."""


def tighten(batch: Batch, work: Work, bounds: Tensor) -> Tensor:
    """Return better bounds for the open rows of the pieces that seem worth it.

    The rows are carried back first. Pieces that come close have some layers refined, and their rows carried back
    again: that costs less than halves of the piece would.
    """
    bounder = batch.bounder
    for least_share, refine in ((bounder.effort.hopeless, False), (CLOSE[bounder.arithmetic], True)):
        need = _needed(work, bounds)
        pieces = ((need < 1) & (need > least_share)).nonzero().squeeze(1)
        if not len(pieces):
            continue
        some, part, better = batch.taken(pieces), work.pieces(pieces), bounds[pieces]
        if refine:
            some = some.own()
            if batch.symbols or not refine_all(some):
                continue
            better = torch.fmax(better, some.bounds(part.rows))
        better = carried_back(some, part, better)
        batch.passes = batch.passes.index_put((pieces.cpu(),), some.passes)
        bounds = bounds.index_put((pieces,), better)
    return bounds


def share_to_keep(batch: Batch, work: Work, bounds: Tensor) -> Tensor:
    """Return what share of the looseness may stay in narrower pieces, ``(pieces,)``: they will be tightened."""
    need = _needed(work, bounds)
    return torch.where(need > batch.bounder.effort.hopeless, 0.0, need * TIGHTENING).clamp(0, 1)


def _needed(work: Work, bounds: Tensor) -> Tensor:
    """Return what share of its looseness each piece's worst row may keep, ``(pieces,)``; 1 where all are proved."""
    still_open = work.wanted & ~work.proved(bounds)
    share = (work.centre - work.threshold.unsqueeze(1)) / (work.centre - bounds)
    share = torch.where(still_open, torch.nan_to_num(share, nan=0.0).clamp(max=1 - 1e-9), torch.ones_like(share))
    return share.amin(dim=1)
