"""Scores every prunable channel of a pipeline: instability, importance, their errors, and what a ratio would cut."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from usncli.errors import InputError, UnsupportedOperationError
from usncli.loading.pipeline import Pipeline
from usncli.perturbing.ranges import PerturbationRange
from usncli.progress import ProgressCallback, silent
from usncli.scoring.channel_index import index_channels, scored_layers
from usncli.scoring.estimates import Estimates
from usncli.scoring.groups import analyse_groups
from usncli.scoring.options import ScoreOptions
from usncli.scoring.record import GroupScore, ScoreRecord
from usncli.scoring.statistics import importance
from usncli.scoring.streaming import ActivationScan, thetas_an_image
from usncli.types import ImageData


def score_network(
    pipeline: Pipeline,
    data: ImageData,
    perturbation_range: PerturbationRange,
    options: ScoreOptions,
    *,
    exclude: Sequence[str] = (),
    progress: ProgressCallback = silent,
) -> ScoreRecord:
    """Score a network, reading its images once and keeping nothing but sums.

    `usncli.scoring.statistics` states the formulas, which are ours, built on the summary of arXiv 2510.00083. The terms
    of coupled channels are averaged over the members that are not dead. Runs on the device of the pipeline, whose
    weights and mode stay as they are.

    Args:
        pipeline: the network with its preprocessing.
        data: images; labels are not used.
        perturbation_range: the perturbation and its box.
        options: how instability is estimated.
        exclude: names of layers, of modules that hold layers, or patterns such as ``encoder.*``, left alone.
        progress: told after every batch.

    Raises:
        ConfigurationError: ``exclude`` names nothing in the network.
        InputError: fewer than 2 images, or activations that are not finite.
        UnsupportedOperationError: the network has no channel that can be cut.
    """
    count = len(data) if options.images is None else min(len(data), options.images)
    if count < 2:
        raise InputError(f"images to score: expected at least 2 (a signal needs two), got {count}; give more images")
    analysis = analyse_groups(pipeline.network, _example(pipeline), exclude)
    if not analysis.groups:
        reasons = "; ".join(f"{group.name}: {group.reason}" for group in analysis.unprunable) or "no layers were found"
        raise UnsupportedOperationError(
            f"network: expected at least one group of channels that can be cut, got none ({reasons})",
            [group.name for group in analysis.unprunable],
        )
    scan = ActivationScan(pipeline, scored_layers(analysis.groups), perturbation_range, options)
    sums = scan.gather(data, count, progress)
    index = index_channels(analysis.groups, [(part.layer, part.channels) for part in sums.columns])
    estimates = Estimates(analysis.groups, index, sums, options)
    terms = estimates.terms()
    values = estimates.instability(terms)
    alive = values[values.isfinite()]
    columns = [terms.unbiased, terms.smooth, values, importance(values), *estimates.standard_errors()]
    return ScoreRecord(
        perturbation=perturbation_range.label,
        options=options,
        images=count,
        thetas=thetas_an_image(perturbation_range, options),
        median=float(alive.quantile(0.5)) if len(alive) else float("nan"),
        groups=_group_scores(estimates, columns, estimates.cut(values)),
        unprunable=analysis.unprunable,
        overlap_images=estimates.overlap_images(count),
        overlap_thetas=estimates.overlap_thetas(),
    )


def _example(pipeline: Pipeline) -> Tensor:
    return pipeline.mean.new_zeros(2, *pipeline.preprocessing.input_shape)


def _group_scores(estimates: Estimates, columns: Sequence[Tensor], cut: Sequence[Tensor]) -> tuple[GroupScore, ...]:
    parts = [estimates.index.split(column) for column in columns]
    scores = []
    for number, group in enumerate(estimates.groups):
        unbiased, smooth, values, scored, value_error, score_error = (part[number] for part in parts)
        scores.append(
            GroupScore(
                name=group.name,
                layers=tuple(layer.module for layer in group.scored),
                unbiased=tuple(unbiased.tolist()),
                smooth=tuple(smooth.tolist()),
                instability=tuple(values.tolist()),
                instability_error=tuple(value_error.tolist()),
                importance=tuple(scored.tolist()),
                importance_error=tuple(score_error.tolist()),
                cut=tuple(cut[number].nonzero().flatten().tolist()),
                dead=tuple(values.isinf().nonzero().flatten().tolist()),
            )
        )
    return tuple(scores)
