"""auto_LiRPA's opinion on what our own engine has certified: every piece is verified once more."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from usncli.certifying.batching import Request, bound_together
from usncli.certifying.branch_and_bound import Outcome, Search
from usncli.certifying.engines import ChosenEngine
from usncli.certifying.problem import ImageProblem

MOST_PARTS = 64
"""How many parts a certified piece may be cut into, on average, before the second engine gives up."""


class Opinion(NamedTuple):
    """What the second engine says.

    Attributes:
        confirmed: it proves every piece, or parts of it.
        contradicted: a theta inside a certified piece, at whose value the property fails; None if there is none.
        outcome: what both engines prove.
        passes: its work, in passes of the network.
    """

    confirmed: bool
    contradicted: tuple[float, ...] | None
    outcome: Outcome
    passes: float


def second_opinion(
    problem: ImageProblem, first: Search, chosen: ChosenEngine, seconds: float, ended: Callable[[], bool]
) -> Opinion:
    """Verify what a search has proved.

    Args:
        problem: whose pieces they are.
        first: the search.
        chosen: the second engine.
        seconds: its budget in wall time.
        ended: whether the run's time is over.

    Raises:
        ArithmeticError: its bounds contradict values of the network.
    """
    search, left = first.of_proved(), len(first.unproved.margins)
    most = MOST_PARTS * len(search.open.margins)
    deadline, passes, threshold = time.monotonic() + seconds, 0.0, problem.threshold(chosen)
    chosen.engine.forget()
    while not (search.over or ended()) and time.monotonic() < deadline and search.pieces < most:
        pieces = search.next_round(chosen.engine.pieces_at_once)
        (found,) = bound_together(chosen, [Request(problem, pieces.boxes, pieces.wanted)])
        passes += float(found.passes.sum())
        worst = int(found.margins.argmin())
        if not float(found.margins[worst]) > -threshold:
            return Opinion(False, tuple(pieces.boxes.centres()[worst].tolist()), search.outcome(), passes)
        search.settle(pieces, found, threshold)
    return Opinion(len(search.unproved.margins) == left, None, search.outcome(), passes)
