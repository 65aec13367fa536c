"""auto_LiRPA's opinion on what our own engine has certified: every piece is verified once more."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from usncli.certifying.batching import bound_together
from usncli.certifying.branch_and_bound import Outcome, Search
from usncli.certifying.engines import ChosenEngine
from usncli.certifying.problem import ImageProblem
from usncli.certifying.reproof import Reproof


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
    deadline = time.monotonic() + seconds
    chosen.engine.forget()
    proof = Reproof(problem, first.of_proved(), chosen)
    while proof.waiting and not ended() and time.monotonic() < deadline:
        (found,) = bound_together(chosen, [proof.take(proof.waiting)])
        proof.give(found)
    return Opinion(proof.confirmed, proof.contradicted, proof.outcome(), proof.passes)
