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
from usncli.reporting.image_data import encode_within
from usncli.reporting.kinds.queries import WORST_FIRST, theta_words
from usncli.reporting.pictures import PICTURES_NAME, Picture, Points, fitting, save_pictures
from usncli.types import ImageData, Sample, Task

PICTURED = (Verdict.FALSIFIED, Verdict.UNKNOWN, Verdict.CERTIFIED)
MOST = 60
"""Counterexamples that are kept of a run."""
LEAST = 12
"""Pictures that are kept where there are fewer counterexamples: of what came closest to failing."""
SIDE, BYTES = 320, 24_000
"""Longer side and size of each of a picture's two images, at most."""
ALL_PICTURES = 1_600_000
"""Characters that the pictures of a run may take in a page."""
THUMBNAIL_SIDE, THUMBNAIL_BYTES = 96, 3_000
"""Longer side and size of a thumbnail, at most."""
ALL_THUMBNAILS = 2_200_000
"""Characters that the thumbnails of a run may take in a page: enough for 500 images, whatever they show."""


def keep_pictures(
    folder: Path,
    pipeline: Pipeline,
    data: ImageData,
    ranges: Sequence[PerturbationRange],
    record: CertificationRecord,
    options: CertifyOptions,
) -> Path:
    """Write `take_pictures` and `take_thumbnails` into a run folder, where its page finds them; return the file's path.

    Args:
        folder: of the run.
        pipeline: what was certified, in evaluation mode.
        data: the images.
        ranges: what they were certified against.
        record: the outcome.
        options: that it was made with.
    """
    path = folder / PICTURES_NAME
    pictures = take_pictures(pipeline, data, ranges, record, options)
    save_pictures(path, pictures, take_thumbnails(data, record))
    return path


def take_pictures(
    pipeline: Pipeline,
    data: ImageData,
    ranges: Sequence[PerturbationRange],
    record: CertificationRecord,
    options: CertifyOptions,
    most: int = MOST,
) -> tuple[Picture, ...]:
    """Show images clean and perturbed: counterexamples first, each at its witness, others at their least margin.

    Args:
        pipeline: what was certified, in evaluation mode.
        data: the images.
        ranges: what they were certified against.
        record: the outcome.
        options: that it was made with.
        most: number of pictures; together they take no more than `ALL_PICTURES`.
    """
    by_label = {region.label: region for region in ranges}
    taken = (
        take_picture(pipeline, data, by_label[query.perturbation], query, options)
        for query in choose(record.queries, most)
    )
    return fitting(taken, lambda picture: picture.size, ALL_PICTURES)


def take_thumbnails(data: ImageData, record: CertificationRecord) -> dict[int, str]:
    """Return small versions of the images by position in the data; where there is no room for all, of the worst ones.

    Images on which a query crashed are left out, since reading them may be what crashed.
    """
    worst: dict[int, int] = {}
    for query in record.queries:
        worst[query.index] = min(worst.get(query.index, len(WORST_FIRST)), WORST_FIRST.index(query.verdict))
    readable = [index for index, place in worst.items() if WORST_FIRST[place] != Verdict.ERROR]
    taken = (
        (index, encode_within(data[index].image, THUMBNAIL_SIDE, THUMBNAIL_BYTES))
        for index in sorted(readable, key=lambda index: (worst[index], index))
    )
    return dict(fitting(taken, lambda item: len(item[1]), ALL_THUMBNAILS))


def choose(queries: Sequence[QueryRecord], most: int) -> tuple[QueryRecord, ...]:
    """Return the queries to show: by verdict in the order of `PICTURED`, then by margin, each image once at first.

    A counterexample that several ranges share is shown once. Queries that are not falsified are there only to make up
    `LEAST`.
    """
    shown = [query for query in queries if query.verdict in PICTURED]
    shown.sort(key=lambda query: (PICTURED.index(query.verdict), query.margin if query.margin is not None else 0.0))
    failing = _each_witness_once([query for query in shown if query.verdict == Verdict.FALSIFIED])
    others = [query for query in shown if query.verdict != Verdict.FALSIFIED]
    first = _each_image_once_at_first(failing)
    return (*first, *_each_image_once_at_first(others)[: max(0, LEAST - len(first))])[:most]


def _each_witness_once(queries: Sequence[QueryRecord]) -> list[QueryRecord]:
    found: dict[tuple[int, str], QueryRecord] = {}
    for query in queries:
        theta = theta_words(query.perturbation, query.witness) if query.witness else query.perturbation
        found.setdefault((query.index, theta), query)
    return list(found.values())


def _each_image_once_at_first(queries: Sequence[QueryRecord]) -> list[QueryRecord]:
    first: dict[int, QueryRecord] = {}
    for query in queries:
        first.setdefault(query.index, query)
    return [*first.values(), *(query for query in queries if first[query.index] is not query)]


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
        clean=encode_within(image[0], SIDE, BYTES),
        perturbed=encode_within(perturbed[0], SIDE, BYTES),
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
