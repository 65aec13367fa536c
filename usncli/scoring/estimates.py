"""From the sums of layers to the scores of channels, their standard errors and how stable the cut set is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from usncli.scoring.accumulation import ActivationStatistics, LayerSums
from usncli.scoring.channel_index import ChannelIndex
from usncli.scoring.groups import GroupAnalysis
from usncli.scoring.options import ScoreOptions
from usncli.scoring.selection import Overlap, least_important, overlap
from usncli.scoring.statistics import InstabilityTerms, importance, instability


@dataclass(frozen=True)
class Estimates:
    """Everything that is derived from the sums of the layers; tensors are float64 on the CPU.

    Attributes:
        analysis: the groups.
        index: of the groups' channels in the layers.
        statistics: of every scored layer.
        options: weights of the instability, ratio and floor.
    """

    analysis: GroupAnalysis
    index: ChannelIndex
    statistics: Mapping[str, ActivationStatistics]
    options: ScoreOptions

    @property
    def blocks(self) -> int:
        """Number of blocks of images whose sums are kept apart."""
        return next(iter(self.statistics.values())).blocks

    def on_all(self) -> InstabilityTerms:
        """Return the terms on all images, ``(channels,)``."""
        terms = self._on_blocks(torch.ones(1, self.blocks, dtype=torch.float64))
        return InstabilityTerms(*(part.squeeze(0) for part in terms))

    def instability(self, terms: InstabilityTerms) -> Tensor:
        """Return the instability with the weights of the options, of any shape."""
        return instability(terms, self.options.unbiased_weight, self.options.smooth_weight)

    def cut(self, instabilities: Tensor) -> tuple[Tensor, ...]:
        """Return what the ratio cuts, for every group ``(channels,)`` bool."""
        scores = self.index.split(importance(instabilities))
        return least_important(self.analysis.groups, scores, self.options.ratio, self.options.floor)

    def standard_errors(self) -> tuple[Tensor, Tensor]:
        """Return the jackknife's standard errors of instability and importance, ``(channels,)``; NaN if unknown."""
        if self.blocks < 3:
            unknown = torch.full((self.index.total,), torch.nan, dtype=torch.float64)
            return unknown, unknown
        left_out = self.instability(self._on_blocks(1 - torch.eye(self.blocks, dtype=torch.float64)))
        return jackknife(left_out), jackknife(torch.stack([importance(row) for row in left_out]))

    def overlap_images(self, count: int) -> Overlap | None:
        """Compare the cut sets of the images with even and with odd numbers; none if a half has fewer than 2."""
        if count < 4:
            return None
        even = (torch.arange(self.blocks) % 2 == 0).double()
        first, second = self.instability(self._on_blocks(torch.stack([even, 1 - even])))
        return overlap(self.cut(first), self.cut(second))

    def overlap_thetas(self) -> Overlap | None:
        """Compare the cut sets of two halves of the thetas, where they were kept apart."""
        if any(layer.halves is None for layer in self.statistics.values()):
            return None
        first, second = (self.instability(self._terms(half))[0] for half in (_first_half, _second_half))
        return overlap(self.cut(first), self.cut(second))

    def _on_blocks(self, rows: Tensor) -> InstabilityTerms:
        """Return the terms on chosen blocks of images, one row a choice."""
        return self._terms(lambda layer: layer.selected(rows))

    def _terms(self, sums: Callable[[ActivationStatistics], LayerSums]) -> InstabilityTerms:
        combined = self.index.combine({name: sums(layer).terms() for name, layer in self.statistics.items()})
        return InstabilityTerms(*(part.cpu() for part in combined))


def _first_half(layer: ActivationStatistics) -> LayerSums:
    return layer.theta_half(0)


def _second_half(layer: ActivationStatistics) -> LayerSums:
    return layer.theta_half(1)


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
