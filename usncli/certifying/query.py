"""One query: an image and a range, from the search for a counterexample to the record of its verdict."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from usncli.certifying.attempt import Attempt
from usncli.certifying.batching import Request
from usncli.certifying.branch_and_bound import Found, Outcome
from usncli.certifying.claims import make_claim
from usncli.certifying.falsify import Target
from usncli.certifying.options import CertifyOptions
from usncli.certifying.partition import Partition
from usncli.certifying.problem import BoundingProblem
from usncli.certifying.scaling import ScaledRange
from usncli.certifying.verdicts import QueryRecord, Verdict
from usncli.perturbing import Boxes, PerturbationRange
from usncli.types import Sample

DIGITS = 6
"""Digits that are kept of numbers that are no more precise."""


@dataclass(frozen=True)
class Query:
    """What is asked.

    Attributes:
        position: its place among all queries.
        sample: image, label and name.
        index: position of the image in the data.
        labelled: whether the label means anything.
        region: the perturbation and its range.
        start: equal pieces to start from, along each parameter.
    """

    position: int
    sample: Sample
    index: int
    labelled: bool
    region: PerturbationRange
    start: tuple[int, ...]

    def record(self, verdict: Verdict, message: str | None = None) -> QueryRecord:
        """Return a record that holds nothing but a verdict."""
        return QueryRecord(self.sample.name, self.index, self.region.label, verdict, message=message)


class RunningQuery:
    """A query under way; a `usncli.certifying.scheduling.Job`.

    Whatever its own data break ends it as the verdict ``error`` with a message, and ends no other query.

    Args:
        problem: the network.
        query: what is asked.
        options: the property and the budget.
    """

    def __init__(self, problem: BoundingProblem, query: Query, options: CertifyOptions) -> None:
        self.query = query
        self._attempt: Attempt | None = None
        self._clean = math.nan
        self._error: str | None = None
        self._seconds = 0.0
        self._since: float | None = None
        with self._working():
            self._begin(problem, options)

    @property
    def waiting(self) -> int:
        """Pieces that wait to be bounded; 0 once the query is over."""
        return 0 if self._attempt is None or self._error else self._attempt.waiting

    def take(self, count: int) -> Request:
        """Hand out up to so many waiting pieces."""
        assert self._attempt is not None
        return self._attempt.take(count)

    def give(self, found: Found, seconds: float) -> None:
        """Take back what was found of the pieces that were handed out last, and the time that went into it."""
        assert self._attempt is not None
        self._seconds += seconds
        with self._working():
            self._attempt.give(found)

    def fail(self, error: Exception) -> None:
        """End with the verdict ``error``."""
        self._error = f"{type(error).__name__}: {error}".splitlines()[0]

    def close(self, ended: Callable[[], bool]) -> QueryRecord:
        """Do what is done query by query, and return the record.

        Args:
            ended: whether the run's time is over.
        """
        with self._working():
            if self._attempt is not None and not self._error:
                self._attempt.finish(ended)
        return replace(self._record(), seconds=self._seconds)

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Count the time, and turn a crash into the verdict ``error``."""
        self._since = time.monotonic()
        try:
            yield
        except Exception as error:  # Whatever a query's own data or the engine break must not end the other queries.
            self.fail(error)
        finally:
            self._seconds, self._since = self._spent(), None

    def _spent(self) -> float:
        return self._seconds + (0.0 if self._since is None else time.monotonic() - self._since)

    def _begin(self, problem: BoundingProblem, options: CertifyOptions) -> None:
        query, pipeline = self.query, problem.pipeline
        claim = make_claim(pipeline, query.sample, options, labelled=query.labelled)
        target = Target(pipeline, query.sample.image.unsqueeze(0).to(pipeline.mean), query.region, claim)
        with torch.no_grad():
            shipped = pipeline(target.image)
        self._clean = float(claim.margins(shipped)[0])
        if self._clean > 0:
            image = problem.image(query.sample.image, query.region, claim, 1 + float(shipped.abs().max()))
            self._attempt = Attempt(image, target, shipped, query.start, options, self._spent)

    def _record(self) -> QueryRecord:
        """Put what was found into words and numbers."""
        if self._error is not None:
            return self.query.record(Verdict.ERROR, self._error)
        if self._attempt is None:
            record = self.query.record(Verdict.MISCLASSIFIED)
            return replace(record, margin=_finite(self._clean), clean_margin=_finite(self._clean))
        record = _verdict(self.query, self._attempt)
        return replace(record, clean_margin=_finite(self._clean), passes=round(self._attempt.passes, 1))


def _verdict(query: Query, attempt: Attempt) -> QueryRecord:
    """Return the verdict with what speaks for it."""
    witness, opinion, hunt = attempt.hunt.witness, attempt.opinion, attempt.hunt
    if opinion is not None and opinion.contradicted is not None:
        theta = ", ".join(f"{value:.10g}" for value in opinion.contradicted)
        return query.record(Verdict.ERROR, f"the engines contradict each other: at {theta} what was proved fails")
    outcome = attempt.outcome if opinion is None or opinion.confirmed else opinion.outcome
    if witness is not None:
        record = replace(query.record(Verdict.FALSIFIED), margin=_finite(witness.margin), witness=witness.theta)
        record = replace(record, falsified_scale=hunt.falsified_scale if hunt.nearest else None)
        return record if outcome is None else _with_outcome(query, record, outcome, attempt)
    assert outcome is not None
    if outcome.proved:
        partition = Partition.of(outcome.partition)
        record = replace(query.record(Verdict.CERTIFIED), margin=_finite(_rounded_down(outcome.worst)))
        record = replace(record, partition=partition)
    else:
        record = replace(query.record(Verdict.UNKNOWN), margin=_finite(_rounded_down(hunt.least)))
    return _with_outcome(query, record, outcome, attempt)


def _with_outcome(query: Query, record: QueryRecord, outcome: Outcome, attempt: Attempt) -> QueryRecord:
    """Add how far branch and bound came."""
    box, opinion = outcome.certified_box, attempt.opinion
    bounded = [part for part in (attempt.outcome, opinion and opinion.outcome) if part is not None]
    unconfirmed = opinion is not None and not opinion.confirmed
    return replace(
        record,
        pieces=sum(part.pieces for part in bounded),
        certified_fraction=outcome.certified_fraction,
        certified_lower=None if box is None else box.lower,
        certified_upper=None if box is None else box.upper,
        pieces_along=pieces_along(ScaledRange.of(query.region), outcome.partition),
        certified_scale=outcome.certified_scale if attempt.hunt.nearest else None,
        engine="+".join(dict.fromkeys([*attempt.engines, *(["lirpa"] if opinion is not None else [])])),
        message="auto_LiRPA confirms only a part of what was certified" if unconfirmed else None,
    )


def pieces_along(region: ScaledRange, partition: Boxes) -> tuple[float, ...] | None:
    """Return the mean number of proved pieces along each parameter, over the proved part; None if nothing is proved."""
    shares = region.shares(partition)
    if not len(shares):
        return None
    along: Tensor = (shares.unsqueeze(1) / region.relative_widths(partition)).sum(dim=0) / shares.sum()
    return tuple(float(f"{number:.{DIGITS}g}") for number in along.tolist())


def _rounded_down(margin: float) -> float:
    """Return a margin with `DIGITS` digits, no higher than it is."""
    if not math.isfinite(margin) or margin == 0:
        return margin
    step = 10.0 ** (math.floor(math.log10(abs(margin))) - DIGITS + 1)
    return float(f"{math.floor(margin / step) * step:.{DIGITS}g}")


def _finite(margin: float) -> float | None:
    """Return a margin as JSON can hold it: None for an infinity or no number."""
    return margin if math.isfinite(margin) else None
