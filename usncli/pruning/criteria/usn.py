"""Importance by instability under the perturbations: the method's own criterion."""

from __future__ import annotations

import torch
from torch import Tensor

from usncli.loading.batching import subset
from usncli.perturbing.ranges import PerturbationRange
from usncli.pruning.criteria.context import ScoringContext
from usncli.scoring.channel_index import index_channels, scored_layers
from usncli.scoring.estimates import Estimates
from usncli.scoring.options import ScoreOptions
from usncli.scoring.statistics import importance
from usncli.scoring.streaming import ActivationScan
from usncli.types import ImageData


def usn_importance(context: ScoringContext) -> tuple[Tensor, ...]:
    """Return the importances of `usncli.scoring.statistics`, averaged over the perturbations of the run."""
    data = subset(context.images, context.chosen_images())
    scores = [_range_importance(context, data, perturbation_range) for perturbation_range in context.ranges]
    return tuple(torch.stack(parts).mean(dim=0) for parts in zip(*scores, strict=True))


def _range_importance(
    context: ScoringContext, data: ImageData, perturbation_range: PerturbationRange
) -> tuple[Tensor, ...]:
    options = ScoreOptions(samples=context.options.scoring_samples**perturbation_range.dimension)
    scan = ActivationScan(context.pipeline, scored_layers(context.groups), perturbation_range, options)
    sums = scan.gather(data, len(data))
    index = index_channels(context.groups, [(part.layer, part.channels) for part in sums.columns])
    estimates = Estimates(context.groups, index, sums, options)
    return index.split(importance(estimates.instability(estimates.terms())))
