"""How many ReLUs are unstable over small pieces of a range, and where: what makes a network expensive to certify."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from usncli.bounding.method import Method
from usncli.certifying.options import CertifyOptions
from usncli.certifying.problem import BoundingProblem, make_problem
from usncli.certifying.records import ReluLayer
from usncli.loading.pipeline import Pipeline
from usncli.perturbing import Boxes, PerturbationRange
from usncli.types import ImageData

PIECES = 100
"""Equal pieces along the first parameter that a range is cut into for this figure."""


def unstable_relus(pipeline: Pipeline, images: Tensor, region: PerturbationRange, pieces: int = PIECES) -> float:
    """Return the mean number of ReLU inputs whose forward bounds cross zero within a piece, over pieces and images.

    ReLUs that exact rewriting adds (for a clamp, or a maximum of pooling) count like the network's own.

    Args:
        pipeline: a pipeline with a captured network.
        images: ``(batch, channels, height, width)`` in [0, 1].
        region: the perturbation and its range; cut into equal pieces, a 2-D range along both parameters.
        pieces: number of pieces; for a 2-D range, the largest square number below it.

    Raises:
        UnsupportedOperationError: the network cannot be bounded.
    """
    problem = make_problem(pipeline, CertifyOptions(method=Method.FORWARD))
    return sum(_mean_by_layer(problem, images, region, pieces).values())


def count_unstable(
    problem: BoundingProblem, data: ImageData, ranges: Sequence[PerturbationRange], options: CertifyOptions
) -> tuple[ReluLayer, ...]:
    """Return the layers whose values ReLUs read, in order, with `unstable_relus` on the first images where asked for.

    Args:
        problem: what is certified.
        data: images.
        ranges: to count under.
        options: on how many images; on none nothing is counted.
    """
    unstable: dict[str, dict[str, float]] = {}
    if options.unstable_images:
        unstable = _count(problem, data, ranges, options)
    return tuple(
        ReluLayer(layer, relus, {label: found[layer] for label, found in unstable.items()})
        for layer, relus in problem.engine.relus.items()
    )


def _count(
    problem: BoundingProblem, data: ImageData, ranges: Sequence[PerturbationRange], options: CertifyOptions
) -> dict[str, dict[str, float]]:
    forward = make_problem(problem.pipeline, replace(options, method=Method.FORWARD, second_opinion=False))
    images = min(len(data), options.limit or len(data), options.unstable_images)
    chosen = torch.stack([data[index].image for index in range(images)])
    return {region.label: _mean_by_layer(forward, chosen, region, PIECES) for region in ranges}


def equal_pieces(region: PerturbationRange, pieces: int) -> Boxes:
    """Cut a range into equal pieces: exactly so many in 1-D, the largest square number up to it in 2-D."""
    lower, upper = region.corners()
    count = pieces if region.dimension == 1 else int(pieces**0.5)
    edges = [torch.linspace(low, high, count + 1, dtype=torch.float64) for low, high in zip(lower, upper, strict=True)]
    lowers = torch.cartesian_prod(*[edge[:-1] for edge in edges]).reshape(-1, region.dimension)
    uppers = torch.cartesian_prod(*[edge[1:] for edge in edges]).reshape(-1, region.dimension)
    return Boxes(lowers, uppers)


def _mean_by_layer(
    problem: BoundingProblem, images: Tensor, region: PerturbationRange, pieces: int
) -> dict[str, float]:
    boxes = equal_pieces(region, pieces)
    totals = Counter[str]()
    for image in images:
        batch = image.unsqueeze(0).to(problem.factor)
        for lower, upper in zip(torch.split(boxes.lower, 16), torch.split(boxes.upper, 16), strict=True):
            lines = region.perturbation.enclosure(batch, Boxes(lower, upper))
            for layer, counts in problem.engine.crossing_relus(problem.normalised(lines)).items():
                totals[layer] += int(counts.sum())
    return {layer: total / (len(images) * len(boxes.lower)) for layer, total in totals.items()}
