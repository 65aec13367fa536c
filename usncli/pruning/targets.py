"""From the target of a run to the quantity that its ratio is a share of."""

from __future__ import annotations

import math
from collections.abc import Callable

from usncli.errors import ConfigurationError
from usncli.loading.pipeline import Pipeline
from usncli.pruning.complexity import MaskedComplexity
from usncli.pruning.criteria import ScoringContext
from usncli.pruning.options import Criterion, FinetuneOptions, Target
from usncli.pruning.quantities import ChannelQuantity, ComplexityQuantity, Quantity
from usncli.pruning.unstable_relus import UnstableReluQuantity, count_sign_changes
from usncli.scoring.groups import DependencyGroup

TOLERANCE = 1e-9
"""Shares that differ by no more are taken as equal: they are computed in different ways."""


def make_quantity(
    target: Target,
    pipeline: Pipeline,
    groups: tuple[DependencyGroup, ...],
    context: Callable[[int], ScoringContext],
) -> Quantity:
    """Return the quantity of a target.

    Args:
        target: what the ratio is a share of.
        pipeline: what is trained.
        groups: its dependency groups.
        context: what a scoring at a step looks at.
    """
    if target == Target.CHANNELS:
        return ChannelQuantity(groups)
    if target == Target.UNSTABLE_RELUS:
        return UnstableReluQuantity(lambda step: count_sign_changes(context(step)))
    return ComplexityQuantity(MaskedComplexity(pipeline, groups), target.replace("-", "_"))


def require_reachable(options: FinetuneOptions, quantity: Quantity) -> None:
    """Check, as far as it can be known before training, that the floors allow the ratio.

    Raises:
        ConfigurationError: they do not.
    """
    floor, reachable = options.masks.floor, quantity.reachable(options.masks.floor)
    if options.criterion != Criterion.NONE and options.ratio > reachable + TOLERANCE:
        most = math.floor(reachable * 1000) / 1000
        raise ConfigurationError(
            f"ratio: expected at most {most:g} of the {options.target}, since floor {floor:g} keeps that share of "
            f"every group, got {options.ratio:g}; lower the ratio or the floor"
        )


def shortfall(options: FinetuneOptions, quantity: Quantity, reached: float) -> str:
    """Say that less was removed than was asked for, and why; nothing where it was not.

    Args:
        options: of the run.
        quantity: of its target.
        reached: the share that is gone.
    """
    if options.criterion == Criterion.NONE or reached >= quantity.goal(options.ratio) - TOLERANCE:
        return ""
    return (
        f"expected {options.ratio:g} of the {options.target} to go, got {reached:.3g}: floor {options.masks.floor:g} "
        "keeps that share of every group; lower it to cut more"
    )
