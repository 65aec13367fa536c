"""Many queries under way at once, their pieces in shared batches.

Queries are taken up in order, and early ones are served first, so that they end early. Later ones are opened only as
far as they are needed to fill a batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from usncli.certifying.branch_and_bound import Found

Bound = Callable[[Sequence[Any]], Sequence[Found]]
"""Bounds as one batch what several queries handed out; returns what was found of each query's."""


class Job(Protocol):
    """A query under way.

    Attributes:
        waiting: pieces that wait to be bounded; 0 once it is over.
    """

    @property
    def waiting(self) -> int: ...  # noqa: D102

    def take(self, count: int) -> Any:
        """Hand out up to so many waiting pieces."""
        ...

    def give(self, found: Found, seconds: float) -> None:
        """Take back what was found of the pieces that were handed out last, and the time that went into it."""
        ...

    def fail(self, error: Exception) -> None:
        """End, since its pieces cannot be bounded."""
        ...


AnyJob = TypeVar("AnyJob", bound=Job)


@dataclass(frozen=True)
class Frame:
    """How a run is scheduled.

    Attributes:
        batch: pieces bounded at once.
        ended: whether the run's time is over.
        clock: seconds.
    """

    batch: int
    ended: Callable[[], bool]
    clock: Callable[[], float]


def run_together(queries: Iterable[Callable[[], AnyJob]], bound: Bound, frame: Frame) -> Iterator[AnyJob]:
    """Run queries in shared batches.

    A batch that cannot be bounded is tried again query by query, so that one query's data fails no other.

    Args:
        queries: begin one query each.
        bound: bounds the pieces of several queries as one batch.
        frame: batches and time.

    Yields:
        Each query as it is over; when the run's time ends, those under way as they are. The others are never begun.
    """
    waiting, open_jobs = deque(queries), list[AnyJob]()
    while (waiting or open_jobs) and not frame.ended():
        # A batch would stay half empty without another query.
        if waiting and sum(job.waiting for job in open_jobs) < frame.batch:
            job = waiting.popleft()()
            if job.waiting:
                open_jobs.append(job)
            else:
                yield job
            continue
        _run_batch(open_jobs, bound, frame)
        over = [job for job in open_jobs if not job.waiting]
        open_jobs = [job for job in open_jobs if job.waiting]
        yield from over
    yield from open_jobs


def _run_batch(open_jobs: Sequence[AnyJob], bound: Bound, frame: Frame) -> None:
    """Fill one batch from queries in their order, bound it, and give each its part and its share of the time."""
    room, jobs, requests = frame.batch, list[AnyJob](), list[Any]()
    for job in open_jobs:
        count = min(room, job.waiting)
        if count:
            jobs.append(job)
            requests.append(job.take(count))
            room -= count
    started = frame.clock()
    results = _attempt(requests, bound)
    seconds = frame.clock() - started
    passes = [float(result.passes.sum()) if isinstance(result, Found) else 0.0 for result in results]
    for job, result, spent in zip(jobs, results, passes, strict=True):
        if isinstance(result, Found):
            job.give(result, seconds * spent / max(sum(passes), 1e-300))
        else:
            job.fail(result)


def _attempt(requests: Sequence[Any], bound: Bound) -> Sequence[Found | Exception]:
    """Bound a batch, or, where that breaks, each query's part alone; return what breaks in place of what is found."""
    try:
        return bound(requests)
    except Exception as error:  # Whatever the engine or one query's data break must not end the other queries.
        if len(requests) == 1:
            return [error]
    return [result for request in requests for result in _attempt([request], bound)]
