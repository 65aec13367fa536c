"""The attempt to decide one query: branch and bound and the hunt for counterexamples, engine after engine."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from usncli.certifying.batching import Request, bound_together
from usncli.certifying.branch_and_bound import Found, Outcome, Search, start_pieces
from usncli.certifying.engines import ChosenEngine, Engines
from usncli.certifying.falsify import Target
from usncli.certifying.hunt import Hunt
from usncli.certifying.options import CertifyOptions
from usncli.certifying.problem import ImageProblem, checked_rows
from usncli.certifying.rounds import Rounds
from usncli.certifying.scaling import ScaledRange
from usncli.certifying.second_opinion import Opinion, second_opinion

BEGINNING_PASSES = 3.0
"""What it takes to set up a query: the property, the reference, and the rewritten network's answer."""
FIRST_ENGINE_SHARE = 0.75
"""Share of a query's budget that the first engine gets where another one may take over."""


class Attempt:
    """One query that holds without perturbation.

    Args:
        image: the query, as it is bounded.
        target: the query, as it ships.
        shipped: what the shipped network predicts without perturbation, on a batch of one.
        start: equal pieces to start from, along each parameter.
        options: the budget.
        spent: seconds that the query has taken so far.

    Attributes:
        hunt: the counterexamples.
        outcome: how far branch and bound came, once finished; None where the query was decided without it.
        engines: names of the engines that bounded pieces.
        opinion: of the second engine, where it was asked.
        passes: work done, in passes of the network.
    """

    def __init__(
        self,
        image: ImageProblem,
        target: Target,
        shipped: Tensor,
        start: tuple[int, ...],
        options: CertifyOptions,
        spent: Callable[[], float],
    ) -> None:
        self._image, self._options, self._spent = image, options, spent
        self._chosen = self._available.first
        self._share = FIRST_ENGINE_SHARE if self._available.may_fall_back else 1.0
        region = ScaledRange.of(image.region)
        self.hunt = Hunt(
            target, region, float(target.claim.margins(shipped)[0]), options.falsify, nearest=options.max_range
        )
        self._search: Search | None = None
        self.outcome: Outcome | None = None
        self.engines: list[str] = []
        self.opinion: Opinion | None = None
        self._bounding = 0.0
        seen = self.hunt.begin()
        if self.hunt.over:
            return
        pieces = start_pieces(region, checked_rows(image, shipped), start)
        self._open(Search(region, pieces._replace(margins=seen.near(pieces.boxes))))

    @property
    def passes(self) -> float:
        """Work done, in passes of the network."""
        opinion = 0.0 if self.opinion is None else self.opinion.passes
        return BEGINNING_PASSES + self.hunt.passes + self._bounding + opinion

    @property
    def waiting(self) -> int:
        """Pieces that wait to be bounded by the engine at hand."""
        return 0 if self._search is None else self._rounds.waiting

    def take(self, count: int) -> Request:
        """Hand out up to so many pieces."""
        pieces = self._rounds.take(count)
        return Request(self._image, pieces.boxes, pieces.wanted, self._seconds_left)

    def give(self, found: Found) -> None:
        """Take back what was found; after the last of a round, settle it, look for counterexamples, and go on."""
        assert self._search is not None
        self._bounding += float(found.passes.sum())
        finished = self._rounds.give(found)
        if finished is None:
            return
        self._search.settle(finished.pieces, finished.found, self._image.threshold(self._chosen))
        self.hunt.look(finished.pieces.boxes, finished.found.margins)
        self._go_on()

    def finish(self, ended: Callable[[], bool]) -> None:
        """Do what is done query by query: another engine's attempt, a last look at what is left, a second opinion.

        Args:
            ended: whether the run's time is over.
        """
        if self._search is None:
            return
        self._rounds.withdraw()
        if self._undecided and not ended():
            self._fall_back(ended)
        if self._undecided and not ended():
            self.hunt.last_look(self._search.unproved)
            self._follow_hunt()
        self.outcome = self._search.outcome()
        if self._options.second_opinion and not self.hunt.over and self._available.first.name != "lirpa":
            chosen, seconds = self._available.lirpa(), self._options.seconds
            self.opinion = second_opinion(self._image, self._search, chosen, seconds, ended)

    @property
    def _available(self) -> Engines:
        return self._image.problem.engines

    @property
    def _undecided(self) -> bool:
        return self._search is not None and not self.hunt.over and bool(len(self._search.unproved.margins))

    @property
    def _seconds_left(self) -> float:
        """Seconds that are left of the engine's share of the budget; negative once they are spent."""
        return self._share * self._options.seconds - self._spent()

    def _open(self, search: Search) -> None:
        self._search, self._rounds = search, Rounds(search)
        self._follow_hunt()
        self._work_with(self._chosen)

    def _work_with(self, chosen: ChosenEngine) -> None:
        self._chosen = chosen
        self.engines.append(chosen.name)
        self._go_on()

    def _go_on(self) -> None:
        """Begin another round, unless the query is decided or the engine's share of the budget is spent."""
        assert self._search is not None
        self._follow_hunt()
        left = math.ceil(self._share * self._options.pieces) - self._search.pieces
        if self.hunt.over or self._search.over or left <= 0 or self._seconds_left <= 0:
            return
        self._rounds.begin(min(self._options.batch or self._chosen.engine.pieces_at_once, left))

    def _follow_hunt(self) -> None:
        assert self._search is not None
        if self.hunt.scale_to_certify < self._search.scale:
            self._search.shrink(self.hunt.scale_to_certify)

    def _fall_back(self, ended: Callable[[], bool]) -> None:
        """Let the other engine go on where the first one stopped, if anything is left of the budget."""
        assert self._search is not None
        spent = self._spent() >= self._options.seconds or self._search.pieces >= self._options.pieces
        chosen = None if spent else self._available.fallback()
        if chosen is None:
            return
        self._share = 1.0
        self._search.reopen()
        chosen.engine.forget()
        self._work_with(chosen)
        while self.waiting and not ended():
            (found,) = bound_together(chosen, [self.take(self.waiting)])
            self.give(found)
        self._rounds.withdraw()
