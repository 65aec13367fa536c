"""How channels are ranked: every criterion is a callable from a context to importances, higher is kept."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from usncli.pruning.criteria.context import SCORING_PURPOSE, ImportanceCriterion, ScoringContext
from usncli.pruning.criteria.looseness import looseness_importance
from usncli.pruning.criteria.relu_stability import relu_stability_importance
from usncli.pruning.criteria.usn import usn_importance
from usncli.pruning.criteria.weights import batch_norm_importance, magnitude_importance, taylor_importance
from usncli.pruning.options import Criterion
from usncli.pruning.training import step_seed

__all__ = [
    "CRITERIA",
    "ImportanceCriterion",
    "ScoringContext",
    "batch_norm_importance",
    "looseness_importance",
    "magnitude_importance",
    "make_criterion",
    "random_importance",
    "relu_stability_importance",
    "taylor_importance",
    "usn_importance",
]


def random_importance(context: ScoringContext) -> tuple[Tensor, ...]:
    """Return a draw that is a pure function of the seed: the same at every step, so that masks only grow by it."""
    generator = torch.Generator().manual_seed(step_seed(context.seed, 0, SCORING_PURPOSE))
    return tuple(torch.rand(group.channels, generator=generator, dtype=torch.float64) for group in context.groups)


CRITERIA: Mapping[Criterion, ImportanceCriterion] = {
    Criterion.USN: usn_importance,
    Criterion.RANDOM: random_importance,
    Criterion.MAGNITUDE: magnitude_importance,
    Criterion.TAYLOR: taylor_importance,
    Criterion.BATCH_NORM: batch_norm_importance,
    Criterion.RELU_STABILITY: relu_stability_importance,
    Criterion.LOOSENESS: looseness_importance,
}
"""The callable of each criterion that cuts anything."""


def make_criterion(criterion: Criterion) -> ImportanceCriterion | None:
    """Return the callable of a criterion; none where nothing is to be cut."""
    return CRITERIA.get(criterion)
