"""Queries in shared batches: order, full batches, crashes and the run's end; with a fake engine."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence

import torch

from usncli.certifying.branch_and_bound import Found
from usncli.certifying.scheduling import Frame, run_together


class Counted:
    """A query of some rounds of pieces; it knows nothing but how many are left."""

    def __init__(self, position: int, rounds: Sequence[int]) -> None:
        self.position, self._rounds = position, list(rounds)
        self.waiting = self._rounds.pop(0) if self._rounds else 0
        self.seconds = 0.0
        self.error: Exception | None = None

    def take(self, count: int) -> tuple[int, int]:
        taken = min(count, self.waiting)
        self.waiting -= taken
        return self.position, taken

    def give(self, found: Found, seconds: float) -> None:
        self.seconds += seconds
        if not self.waiting and self._rounds:
            self.waiting = self._rounds.pop(0)

    def fail(self, error: Exception) -> None:
        self.error, self.waiting = error, 0


def found(count: int) -> Found:
    return Found(
        *[torch.ones(count, 1)] * 2, torch.ones(count), torch.ones(count, 1), torch.ones(count), torch.zeros(count)
    )


def run(
    queries: Sequence[Sequence[int]],
    batch: int = 8,
    ended: Callable[[], bool] = lambda: False,
    broken: int | None = None,
) -> tuple[list[list[tuple[int, int]]], list[Counted]]:
    batches: list[list[tuple[int, int]]] = []
    ticks = itertools.count()

    def bound(requests: Sequence[tuple[int, int]]) -> list[Found]:
        batches.append(list(requests))
        if broken in [position for position, _ in requests]:
            raise ZeroDivisionError("a broken image")
        return [found(count) for _, count in requests]

    waiting = [functools.partial(Counted, place, rounds) for place, rounds in enumerate(queries)]
    frame = Frame(batch, ended, lambda: float(next(ticks)))
    return batches, list(run_together(waiting, bound, frame))


def test_batches_are_full_and_early_queries_go_first() -> None:
    batches, over = run([[1, 8, 8], [20], [3], [9]])
    assert [sum(count for _, count in batch) for batch in batches] == [8, 8, 8, 8, 8, 8, 1]
    assert batches[:3] == [[(0, 1), (1, 7)], [(0, 8)], [(0, 8)]]
    assert [job.position for job in over] == [0, 1, 2, 3]


def test_queries_that_need_no_piece_are_over_at_once() -> None:
    batches, over = run([[], [2], [], []])
    assert sorted(job.position for job in over) == [0, 1, 2, 3]
    assert batches == [[(1, 2)]]


def test_queries_are_begun_only_as_batches_need_them() -> None:
    assert run([[2, 2], [1], [1], [1]], batch=3)[0] == [[(0, 2), (1, 1)], [(0, 2), (2, 1)], [(3, 1)]]
    assert run([[3, 3], [1]], batch=3)[0] == [[(0, 3)], [(0, 3)], [(1, 1)]]


def test_a_crash_ends_its_own_query_only() -> None:
    batches, over = run([[2, 2], [2], [2, 2]], broken=1)
    assert [type(job.error) for job in sorted(over, key=lambda job: job.position)] == [
        type(None),
        ZeroDivisionError,
        type(None),
    ]
    assert batches[:4] == [[(0, 2), (1, 2), (2, 2)], [(0, 2)], [(1, 2)], [(2, 2)]]


def test_the_end_of_the_run_hands_back_what_is_under_way() -> None:
    ends = itertools.chain([False] * 3, itertools.repeat(True))
    batches, over = run([[8, 8, 8], [4], [4]], ended=lambda: next(ends))
    assert len(batches) == 2
    assert [job.position for job in over] == [0]
    assert over[0].waiting


def test_queries_share_the_time_of_their_batches() -> None:
    _, over = run([[6], [2]])
    assert [job.seconds for job in over] == [0.75, 0.25]
