"""How many ReLUs are unstable over small pieces of a range: what makes a network expensive to certify."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from usncli.bounding.method import Method
from usncli.certifying.options import CertifyOptions
from usncli.certifying.problem import BoundingProblem, make_problem
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
    return _mean(make_problem(pipeline, CertifyOptions(method=Method.FORWARD)), images, region, pieces)


def count_unstable(
    problem: BoundingProblem, data: ImageData, ranges: Sequence[PerturbationRange], options: CertifyOptions
) -> tuple[dict[str, float], int]:
    """Return `unstable_relus` on the first images by range label, and the number of ReLUs there are."""
    relus = problem.engine.relus
    if not options.unstable_images:
        return {}, relus
    forward = make_problem(problem.pipeline, replace(options, method=Method.FORWARD, second_opinion=False))
    images = min(len(data), options.limit or len(data), options.unstable_images)
    chosen = torch.stack([data[index].image for index in range(images)])
    return {region.label: _mean(forward, chosen, region, PIECES) for region in ranges}, relus


def equal_pieces(region: PerturbationRange, pieces: int) -> Boxes:
    """Cut a range into equal pieces: exactly so many in 1-D, the largest square number up to it in 2-D."""
    lower, upper = region.corners()
    count = pieces if region.dimension == 1 else int(pieces**0.5)
    edges = [torch.linspace(low, high, count + 1, dtype=torch.float64) for low, high in zip(lower, upper, strict=True)]
    lowers = torch.cartesian_prod(*[edge[:-1] for edge in edges]).reshape(-1, region.dimension)
    uppers = torch.cartesian_prod(*[edge[1:] for edge in edges]).reshape(-1, region.dimension)
    return Boxes(lowers, uppers)


def _mean(problem: BoundingProblem, images: Tensor, region: PerturbationRange, pieces: int) -> float:
    boxes = equal_pieces(region, pieces)
    total = 0
    for image in images:
        batch = image.unsqueeze(0).to(problem.factor)
        for lower, upper in zip(torch.split(boxes.lower, 16), torch.split(boxes.upper, 16), strict=True):
            lines = region.perturbation.enclosure(batch, Boxes(lower, upper))
            total += int(problem.engine.crossing_relus(problem.normalised(lines)).sum())
    return total / (len(images) * len(boxes.lower))
