"""From the sums of layers to the scores of channels, their standard errors and how stable the cut set is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from usncli.scoring.accumulation import ActivationSums
from usncli.scoring.channel_index import ChannelIndex
from usncli.scoring.groups import DependencyGroup
from usncli.scoring.options import ScoreOptions
from usncli.scoring.selection import Overlap, least_important, overlap
from usncli.scoring.statistics import InstabilityTerms, importance, instability


@dataclass(frozen=True)
class Estimates:
    """Everything that is derived from the sums of the layers; tensors are float64 on the CPU.

    Attributes:
        groups: the prunable groups.
        index: of their channels in the sums.
        sums: of all scored layers.
        options: weights of the instability, ratio and floor.
    """

    groups: Sequence[DependencyGroup]
    index: ChannelIndex
    sums: ActivationSums
    options: ScoreOptions

    def terms(self) -> InstabilityTerms:
        """Return the terms on all images, ``(channels,)``."""
        terms = self._on_blocks(torch.ones(1, self.sums.blocks))
        return InstabilityTerms(*(part.squeeze(0) for part in terms))

    def instability(self, terms: InstabilityTerms) -> Tensor:
        """Return the instability with the weights of the options, of any shape."""
        return instability(terms, self.options.unbiased_weight, self.options.smooth_weight)

    def cut(self, instabilities: Tensor) -> tuple[Tensor, ...]:
        """Return what the ratio cuts, for every group ``(channels,)`` bool."""
        scores = self.index.split(importance(instabilities))
        return least_important(self.groups, scores, self.options.ratio, self.options.floor)

    def standard_errors(self) -> tuple[Tensor, Tensor]:
        """Return the jackknife's standard errors of instability and importance, ``(channels,)``; NaN if unknown."""
        if self.sums.blocks < 3:
            unknown = torch.full((sum(self.index.sizes),), torch.nan, dtype=torch.float64)
            return unknown, unknown
        left_out = self.instability(self._on_blocks(1 - torch.eye(self.sums.blocks)))
        return jackknife(left_out), jackknife(torch.stack([importance(row) for row in left_out]))

    def overlap_images(self, count: int) -> Overlap | None:
        """Compare the cut sets of the images with even and with odd numbers; none if a half has fewer than 2."""
        if count < 4:
            return None
        even = (torch.arange(self.sums.blocks) % 2 == 0).int()
        first, second = self.instability(self._on_blocks(torch.stack([even, 1 - even])))
        return overlap(self.cut(first), self.cut(second))

    def overlap_thetas(self) -> Overlap | None:
        """Compare the cut sets of two halves of the thetas, where they were kept apart."""
        if self.sums.halves is None:
            return None
        first, second = (self.instability(self.index.combine(self.sums.half_terms(half)))[0] for half in (0, 1))
        return overlap(self.cut(first), self.cut(second))

    def _on_blocks(self, rows: Tensor) -> InstabilityTerms:
        """Return the terms on chosen blocks of images, one row a choice."""
        return self.index.combine(self.sums.terms(rows))


def jackknife(estimates: Tensor) -> Tensor:
    """Return standard errors from estimates that each leave one block of images out.

    Source: Efron and Stein 1981, "The jackknife estimate of variance".

    Args:
        estimates: ``(blocks, channels)``.

    Returns:
        ``(channels,)``; NaN where an estimate is not finite.
    """
    variance = estimates.var(0, correction=0) * (estimates.shape[0] - 1)
    return torch.where(variance.isfinite(), variance.sqrt(), torch.nan)
