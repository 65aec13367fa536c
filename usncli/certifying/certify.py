"""Certify a data set: every image against every range, each with one verdict.

What a verdict ``certified`` claims: for every theta of the range, the network with the shipped weights, evaluated in
exact arithmetic on the perturbed image (clipped if clipping is on, then normalised), has the property. It is proved by
bounds that are sound in exact arithmetic and computed in ordinary float64 (or float32); their own rounding is not
accounted for rigorously. Instead every margin must be proved to exceed a slack, `options.SLACKS` times one plus the
largest absolute reference output, which is far above the rounding seen. It does not claim that the network as executed
in float32, whose outputs differ from exact ones by rounding, has the property where its margin is that small.
``falsified`` claims that the shipped network, run as it ships on a batch of one, fails at the recorded theta.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from usncli.certifying.claims import check_reference
from usncli.certifying.journal import Journal, fingerprint
from usncli.certifying.options import DTYPES, CertifyOptions
from usncli.certifying.problem import BoundingProblem, make_problem
from usncli.certifying.query import Query, answer
from usncli.certifying.records import CertificationRecord
from usncli.certifying.unstable import count_unstable
from usncli.certifying.verdicts import QueryRecord, Verdict
from usncli.errors import NothingToCertifyError
from usncli.loading.pipeline import Pipeline
from usncli.perturbing import PerturbationRange
from usncli.progress import ProgressCallback, ProgressUpdate, silent
from usncli.types import ImageData

CLAIM = (
    "certified: for every parameter of the range the network in exact arithmetic keeps the property, by bounds "
    "computed in ordinary floating point whose rounding is covered by a slack, not by proof"
)


def certify(
    pipeline: Pipeline,
    data: ImageData,
    ranges: Sequence[PerturbationRange],
    options: CertifyOptions | None = None,
    *,
    journal: Path | None = None,
    progress: ProgressCallback = silent,
) -> CertificationRecord:
    """Certify every image of a data set against every range; the module's docstring says what a verdict claims.

    Args:
        pipeline: the shipped network, whose ``network`` is a captured one; set to evaluation mode.
        data: images, in order.
        ranges: perturbations with their boxes.
        options: what is certified and the budgets.
        journal: a file that finished queries are kept in; the same run started again goes on from it.
        progress: told after every query.

    Raises:
        NothingToCertifyError: no image, or no range.
        UnsupportedOperationError: the network holds operations that cannot be bounded; all are named.
        InputError: the journal is of another run, or labels are missing.
        UsnError: auto_LiRPA is missing.
    """
    options = options or CertifyOptions()
    images = min(len(data), options.limit or len(data))
    if not images:
        raise NothingToCertifyError("expected at least one image to certify, got none; check --data")
    if not ranges:
        raise NothingToCertifyError("expected at least one perturbation, got none; give --perturb, as brightness=0.1")
    check_reference(data, options)
    pipeline.eval()
    problem = make_problem(pipeline, options.method, DTYPES[options.dtype])
    mark = _fingerprint(pipeline, data, ranges, options, images)
    with ExitStack() as stack:
        book = None if journal is None else stack.enter_context(Journal(journal, mark))
        queries = _answer_all(problem, data, ranges, options, book, progress)
    unstable, relus = count_unstable(problem, data, ranges, min(images, options.unstable_images))
    settings = {**options.to_record(), "ranges": [region.label for region in ranges]}
    return CertificationRecord(queries, settings, mark, CLAIM, unstable, relus)


def _answer_all(
    problem: BoundingProblem,
    data: ImageData,
    ranges: Sequence[PerturbationRange],
    options: CertifyOptions,
    book: Journal | None,
    progress: ProgressCallback,
) -> tuple[QueryRecord, ...]:
    images = min(len(data), options.limit or len(data))
    finished = [] if book is None else list(book.finished)
    total = images * len(ranges)
    while len(finished) < total:
        index, which = divmod(len(finished), len(ranges))
        query = Query(data[index], index, data.labelled, ranges[which], _first_pieces(finished, len(ranges)))
        record = answer(problem, query, options)
        finished.append(record)
        if book is not None:
            book.append(record)
        certified = sum(item.verdict == Verdict.CERTIFIED for item in finished)
        figures = {"certified": certified / len(finished), "pieces": float(record.pieces), "seconds": record.seconds}
        progress(ProgressUpdate("certify", len(finished), total, figures))
    return tuple(finished[:total])


def _first_pieces(finished: Sequence[QueryRecord], ranges: int) -> int:
    """Return how many equal pieces to start from: about half of what the last certified image needed for this range."""
    earlier = [record for record in finished[len(finished) % ranges :: ranges] if record.verdict == Verdict.CERTIFIED]
    if not earlier:
        return 1
    return int(2 ** math.floor(math.log2(max(1.0, earlier[-1].pieces * 0.4))))


def _fingerprint(
    pipeline: Pipeline, data: ImageData, ranges: Sequence[PerturbationRange], options: CertifyOptions, images: int
) -> str:
    parts: dict[str, Any] = {
        "options": options.to_record(),
        "ranges": [repr(region) for region in ranges],
        "model": _model_hash(pipeline),
        "preprocessing": pipeline.preprocessing.to_record(),
        "task": pipeline.task.value,
        "data": [_sample_hash(data, index) for index in range(images)],
    }
    return fingerprint(parts)


def _model_hash(pipeline: Pipeline) -> str:
    digest = hashlib.sha256(str(getattr(pipeline.network, "graph", "")).encode())
    for name, tensor in sorted(pipeline.state_dict().items()):
        digest.update(name.encode() + str(tuple(tensor.shape)).encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _sample_hash(data: ImageData, index: int) -> str:
    sample = data[index]
    digest = hashlib.sha256(sample.name.encode())
    for tensor in (sample.image, sample.target):
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
