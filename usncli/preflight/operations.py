"""What of a network cannot be scored, cut, certified or exported, by layer: asked of the code that does the work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from usncli.bounding.rewriting.rewrite import unsupported_operations
from usncli.certifying.engines import vocabularies
from usncli.certifying.options import CertifyOptions
from usncli.exporting.support import NETWORK, unexportable_operations
from usncli.loading.capture import first_line
from usncli.loading.pipeline import Pipeline
from usncli.scoring.groups import GroupAnalysis, analyse_groups

CUT, CERTIFIED, CONFIRMED, EXPORTED = "scored, cut", "certified", "certified by auto_LiRPA", "exported"
EXPORT_REMEDY = "replace it by an operation that ONNX has; what usn writes itself needs none"


@dataclass(frozen=True)
class Obstacle:
    """Something that cannot be done with a layer.

    Attributes:
        layer: the user's name of the layer, with the operation behind it; `NETWORK` for what concerns all of it.
        cannot: what cannot be done: ``scored, cut``, ``certified``, ``certified by auto_LiRPA`` or ``exported``.
        reason: why.
        remedy: what to do.
        blocking: whether the certification that was asked for cannot begin.
    """

    layer: str
    cannot: str
    reason: str
    remedy: str
    blocking: bool = False


@dataclass(frozen=True)
class Examination:
    """What was found of a network.

    Attributes:
        obstacles: what cannot be done.
        groups: groups of channels that can be cut.
        channels: channels in them.
    """

    obstacles: tuple[Obstacle, ...]
    groups: int
    channels: int


def certification_obstacles(pipeline: Pipeline, options: CertifyOptions) -> tuple[Obstacle, ...]:
    """Return every operation that cannot be bounded by an engine of a run.

    Args:
        pipeline: with a captured network.
        options: of the run; what its engines do not need does not block it.
    """
    network, found = pipeline.network, list[Obstacle]()
    assert isinstance(network, torch.fx.GraphModule)
    example = torch.full((1, *pipeline.preprocessing.input_shape), 0.5)
    for vocabulary, needed in vocabularies(options).items():
        for item in unsupported_operations(network, example, vocabulary):
            layer = item.layer if item.operation in item.layer else f"{item.layer} ({item.operation})"
            cannot = CERTIFIED if needed else CONFIRMED
            obstacle = Obstacle(layer, cannot, item.reason, item.remedy, blocking=needed)
            # What no engine knows is said once.
            if obstacle not in found and (needed or all(layer != other.layer for other in found)):
                found.append(obstacle)
    return tuple(found)


def examine(pipeline: Pipeline, options: CertifyOptions) -> Examination:
    """Find everything that cannot be done with a network; nothing of it is trained, certified or written.

    Args:
        pipeline: with a captured network; left as it is.
        options: of the certification that is asked for.
    """
    analysis, cutting = _cutting(pipeline)
    obstacles = (
        *certification_obstacles(pipeline, options),
        *cutting,
        *(
            Obstacle(item.layer, EXPORTED, item.reason, EXPORT_REMEDY if item.layer != NETWORK else "")
            for item in unexportable_operations(pipeline)
        ),
    )
    return Examination(obstacles, len(analysis.groups), sum(group.channels for group in analysis.groups))


def _cutting(pipeline: Pipeline) -> tuple[GroupAnalysis, tuple[Obstacle, ...]]:
    """Return the groups of channels, and those that cannot be cut although they are no outputs."""
    example = torch.zeros(2, *pipeline.preprocessing.input_shape)
    try:
        analysis = analyse_groups(pipeline.network, example)
    except Exception as error:  # Whatever tracing breaks on is what there is to be found out.
        reason = f"its channels cannot be followed ({first_line(error)})"
        remedy = "certify and export it as it is; pruning needs plain layers and sums"
        return GroupAnalysis((), ()), (Obstacle(NETWORK, CUT, reason, remedy),)
    return analysis, tuple(_uncut(analysis))


def _uncut(analysis: GroupAnalysis) -> Iterator[Obstacle]:
    for group in analysis.unprunable:
        if group.name in analysis.remedies:
            yield Obstacle(group.name, CUT, group.reason, f"leave it whole, or {analysis.remedies[group.name]}")
    if not analysis.groups:
        reason = "it has no channels that can be cut"
        yield Obstacle(NETWORK, CUT, reason, "only what lies between two layers with weights can be cut")
