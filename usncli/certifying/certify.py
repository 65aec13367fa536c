"""Certify a data set: every image against every range, each with one verdict.

What a verdict ``certified`` claims depends on whose bounds it rests on (`QueryRecord.engine`) and on the arithmetic:

- Our own engine, ``real``: for every theta of the range, the network with the shipped weights, evaluated in exact
  arithmetic on the perturbed image (clipped if clipping is on, then normalised), has the property. The rounding of the
  bounds themselves is covered by rigorous terms.
- Our own engine, ``float32``: the network as executed in float32, in any order of summation, has it.
- auto_LiRPA: as ``real``, by bounds that are sound in exact arithmetic and computed in ordinary float64 (or float32);
  their rounding is not accounted for rigorously. Instead every margin must be proved to exceed a slack,
  `options.SLACKS` times one plus the largest absolute reference output, which is far above the rounding seen.

``falsified`` claims that the shipped network, run as it ships on a batch of one, fails at the recorded theta.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from usncli.bounding.method import Arithmetic
from usncli.certifying.batching import Request, bound_together
from usncli.certifying.branch_and_bound import Found
from usncli.certifying.claims import check_reference
from usncli.certifying.hashing import hash_network, hash_sample
from usncli.certifying.journal import Journal, fingerprint
from usncli.certifying.options import CertifyOptions
from usncli.certifying.problem import BoundingProblem, make_problem
from usncli.certifying.query import Query, RunningQuery
from usncli.certifying.records import CertificationRecord
from usncli.certifying.scheduling import Frame, run_together
from usncli.certifying.unstable import count_unstable
from usncli.certifying.verdicts import QueryRecord, Verdict
from usncli.errors import NothingToCertifyError
from usncli.loading.pipeline import Pipeline
from usncli.perturbing import PerturbationRange
from usncli.progress import ProgressCallback, ProgressUpdate, silent
from usncli.types import ImageData

TOGETHER = 8
"""Queries that share batches with each other and with no others.

Rounding depends on what is in a batch. A run that goes on repeats the whole group that was interrupted, and so says
what it would have said without an interruption.
"""
OUT_OF_TIME = "the run's time ended first"
"""Message of queries that the run's deadline ended."""
START_SHARE = 0.7
"""Share of the pieces of an earlier image that a query starts from: pieces too wide cost as much as those that do."""

_LIRPA_CLAIM = (
    "for every parameter of the range the network in exact arithmetic keeps the property, by auto_LiRPA's bounds, "
    "computed in ordinary floating point whose rounding is covered by a slack, not by proof"
)
_OWN_CLAIMS = {
    Arithmetic.REAL: "for every parameter of the range the network in exact arithmetic keeps the property, by bounds "
    "whose own rounding is covered by rigorous terms",
    Arithmetic.FLOAT32: "for every parameter of the range the network as executed in float32, in any order of "
    "summation, keeps the property, by bounds whose own rounding is covered by rigorous terms",
}


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
        UsnError: auto_LiRPA is asked for and missing.
    """
    started, options = time.monotonic(), options or CertifyOptions()
    images = min(len(data), options.limit or len(data))
    if not images:
        raise NothingToCertifyError("expected at least one image to certify, got none; check --data")
    if not ranges:
        raise NothingToCertifyError("expected at least one perturbation, got none; give --perturb, as brightness=0.1")
    check_reference(data, options)
    pipeline.eval()
    problem = make_problem(pipeline, options)
    mark = _fingerprint(pipeline, data, ranges, options, images)
    with ExitStack() as stack:
        book = None if journal is None else stack.enter_context(Journal(journal, mark))
        run = _Run(problem, data, ranges, options, images * len(ranges), started, book, progress)
        queries = run.answer_all()
    layers, labels = count_unstable(problem, data, ranges, options), [region.label for region in ranges]
    counted = labels if options.unstable_images else []
    unstable = {label: sum(layer.unstable[label] for layer in layers) for label in counted}
    settings = {**options.to_record(), "ranges": labels}
    relus = sum(layer.relus for layer in layers)
    return CertificationRecord(queries, settings, mark, _claim(problem, options), unstable, relus, layers)


def _claim(problem: BoundingProblem, options: CertifyOptions) -> str:
    if problem.engines.first.name == "lirpa":
        return f"certified: {_LIRPA_CLAIM}"
    claim = f"certified: {_OWN_CLAIMS[options.arithmetic]}"
    return f"{claim}; where the engine is lirpa, {_LIRPA_CLAIM}" if problem.engines.may_fall_back else claim


@dataclass(frozen=True)
class _Run:
    """The queries of a run, in the order of images, then ranges."""

    problem: BoundingProblem
    data: ImageData
    ranges: Sequence[PerturbationRange]
    options: CertifyOptions
    total: int
    started: float
    book: Journal | None
    progress: ProgressCallback
    finished: dict[int, QueryRecord] = field(default_factory=dict)

    def answer_all(self) -> tuple[QueryRecord, ...]:
        """Return one record a query; those that the run's deadline ended are not kept in the journal."""
        self.finished.update({} if self.book is None else self.book.finished)
        chosen = self.problem.engines.first
        batch = self.options.batch or chosen.engine.pieces_at_once
        frame = Frame(batch, self.ended, time.monotonic)

        def bound(requests: Sequence[Request]) -> list[Found]:
            return bound_together(chosen, requests)

        together = TOGETHER if chosen.shares else 1
        for first in range(0, self.total, together):
            positions = range(first, min(first + together, self.total))
            if any(position not in self.finished for position in positions):
                chosen.engine.forget()
                begins = [functools.partial(self._begin, position, first) for position in positions]
                for job in run_together(begins, bound, frame):
                    # Others are run again only for the sake of those that they share batches with.
                    if job.query.position not in self.finished:
                        self._keep(job.query.position, job.close(self.ended))
        for position in range(self.total):
            if position not in self.finished:
                self.finished[position] = self._query(position, ()).record(Verdict.UNKNOWN, OUT_OF_TIME)
        return tuple(self.finished[position] for position in range(self.total))

    def ended(self) -> bool:
        """Say whether the run's time is over."""
        limit = self.options.run_seconds
        return limit > 0 and time.monotonic() - self.started >= limit

    def _query(self, position: int, start: tuple[int, ...]) -> Query:
        index, which = divmod(position, len(self.ranges))
        return Query(position, self.data[index], index, self.data.labelled, self.ranges[which], start)

    def _begin(self, position: int, first: int) -> RunningQuery:
        """Begin a query; what it learns from earlier ones is from before the first that it shares batches with."""
        earlier = range(position % len(self.ranges), first, len(self.ranges))
        start = _start([self.finished[place] for place in reversed(earlier)])
        dimension = self.ranges[position % len(self.ranges)].dimension
        return RunningQuery(self.problem, self._query(position, start or (1,) * dimension), self.options)

    def _keep(self, position: int, record: QueryRecord) -> None:
        if record.verdict == Verdict.UNKNOWN and self.ended():
            record = replace(record, message=OUT_OF_TIME)
        elif self.book is not None:
            self.book.append(position, record)
        self.finished[position] = record
        certified = sum(item.verdict == Verdict.CERTIFIED for item in self.finished.values())
        figures = {
            "certified": certified / len(self.finished),
            "pieces": float(record.pieces),
            "seconds": record.seconds,
        }
        self.progress(ProgressUpdate("certify", len(self.finished), self.total, figures))


def _start(earlier: Sequence[QueryRecord]) -> tuple[int, ...] | None:
    """Return how many pieces to start from along each parameter: a share of what an earlier image needed.

    Args:
        earlier: records of the same range, the latest first.
    """
    for record in earlier:
        along = record.pieces_along
        if along is not None and record.verdict == Verdict.CERTIFIED:
            share = START_SHARE ** (1 / len(along))
            return tuple(max(1, round(share * number)) for number in along)
    return None


def _fingerprint(
    pipeline: Pipeline, data: ImageData, ranges: Sequence[PerturbationRange], options: CertifyOptions, images: int
) -> str:
    parts: dict[str, Any] = {
        # More time for a run changes no verdict that the journal keeps.
        "options": {**options.to_record(), "run_seconds": 0.0},
        "ranges": [repr(region) for region in ranges],
        "model": hash_network(pipeline),
        "preprocessing": pipeline.preprocessing.to_record(),
        "task": pipeline.task.value,
        "data": [hash_sample(data[index]) for index in range(images)],
    }
    return fingerprint(parts)
