"""Take pictures of a certification: counterexamples beside their clean images, and the worst of what held."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from usncli.certifying.claims import make_claim
from usncli.certifying.falsify import Target, grid_points
from usncli.certifying.options import CertifyOptions, Reference
from usncli.certifying.records import CertificationRecord
from usncli.certifying.verdicts import QueryRecord, Verdict
from usncli.loading.heatmaps import peaks
from usncli.loading.pipeline import Pipeline
from usncli.perturbing import PerturbationRange
from usncli.reporting.kinds.queries import theta_words
from usncli.reporting.pictures import PICTURES_NAME, Picture, Points, encode, save_pictures
from usncli.types import ImageData, Sample, Task

PICTURED = (Verdict.FALSIFIED, Verdict.UNKNOWN, Verdict.CERTIFIED)
MOST = 12
"""Pictures of a run, unless asked for another number."""


def keep_pictures(
    folder: Path,
    pipeline: Pipeline,
    data: ImageData,
    ranges: Sequence[PerturbationRange],
    record: CertificationRecord,
    options: CertifyOptions,
) -> Path:
    """Write `take_pictures` into a run folder, where its page finds them, and return the file's path."""
    path = folder / PICTURES_NAME
    save_pictures(path, take_pictures(pipeline, data, ranges, record, options))
    return path


def take_pictures(
    pipeline: Pipeline,
    data: ImageData,
    ranges: Sequence[PerturbationRange],
    record: CertificationRecord,
    options: CertifyOptions,
    most: int = MOST,
) -> tuple[Picture, ...]:
    """Show some queries: falsified ones first, then the least margins of the others; at most a few.

    A falsified query is shown at its witness; any other at the point of a grid over its range with the least margin.

    Args:
        pipeline: what was certified, in evaluation mode.
        data: the images.
        ranges: what they were certified against.
        record: the outcome.
        options: that it was made with.
        most: number of pictures.
    """
    by_label = {region.label: region for region in ranges}
    return tuple(
        take_picture(pipeline, data, by_label[query.perturbation], query, options)
        for query in choose(record.queries, most)
    )


def choose(queries: Sequence[QueryRecord], most: int) -> tuple[QueryRecord, ...]:
    """Return the queries to show: by verdict in the order of `PICTURED`, then by margin, each image once at first."""
    shown = [query for query in queries if query.verdict in PICTURED]
    shown.sort(key=lambda query: (PICTURED.index(query.verdict), query.margin if query.margin is not None else 0.0))
    first: dict[int, QueryRecord] = {}
    for query in shown:
        first.setdefault(query.index, query)
    again = [query for query in shown if first[query.index] is not query]
    return tuple([*first.values(), *again][:most])


@torch.no_grad()
def take_picture(
    pipeline: Pipeline, data: ImageData, region: PerturbationRange, query: QueryRecord, options: CertifyOptions
) -> Picture:
    """Show one query; see `take_pictures`."""
    sample = data[query.index]
    image = sample.image.unsqueeze(0).to(pipeline.mean)
    theta = _theta(pipeline, sample, region, query, options, labelled=data.labelled)
    perturbed = region.perturbation(image, theta.unsqueeze(0).to(image))
    # One by one: the verdict is about a batch of one.
    outputs = torch.cat([pipeline(image), pipeline(perturbed)]).cpu()
    is_class = pipeline.task == Task.CLASSIFICATION
    reference, moved = ((), ()) if is_class else _points(pipeline, outputs, sample, options, labelled=data.labelled)
    by_label = options.reference == Reference.LABEL
    return Picture(
        image=query.image,
        perturbation=query.perturbation,
        verdict=query.verdict.value,
        theta=theta_words(region.label, theta.tolist()),
        clean=encode(image[0]),
        perturbed=encode(perturbed[0]),
        width=image.shape[3],
        height=image.shape[2],
        reference=reference,
        moved=moved,
        tau=None if is_class else options.tau,
        reference_name="labelled" if by_label else "predicted on the clean image",
        answers=_answers(outputs, data.label_names) if is_class else None,
    )


def _theta(
    pipeline: Pipeline,
    sample: Sample,
    region: PerturbationRange,
    query: QueryRecord,
    options: CertifyOptions,
    *,
    labelled: bool,
) -> Tensor:
    if query.witness is not None:
        return torch.tensor(query.witness, dtype=torch.float64)
    claim = make_claim(pipeline, sample, options, labelled=labelled)
    grid = grid_points(region, options.falsify)
    target = Target(pipeline, sample.image.unsqueeze(0).to(pipeline.mean), region, claim)
    return grid[int(target.margins(grid).argmin())]


def _points(
    pipeline: Pipeline, outputs: Tensor, sample: Sample, options: CertifyOptions, *, labelled: bool
) -> tuple[Points, Points]:
    """Return where the visible keypoints should be, and where the perturbed image's prediction has them."""
    size = (pipeline.preprocessing.height, pipeline.preprocessing.width)
    places = peaks(outputs, size) if pipeline.task == Task.HEATMAPS else outputs
    visible = sample.target[:, 2] > 0 if labelled else torch.ones(places.shape[1], dtype=torch.bool)
    reference = sample.target[:, :2] if options.reference == Reference.LABEL else places[0]
    return _pairs(reference[visible]), _pairs(places[1][visible])


def _answers(outputs: Tensor, names: Sequence[str]) -> tuple[str, str]:
    clean, perturbed = (names[index] if index < len(names) else str(index) for index in outputs.argmax(1).tolist())
    return clean, perturbed


def _pairs(points: Tensor) -> Points:
    return tuple((round(x, 3), round(y, 3)) for x, y in points.tolist())
