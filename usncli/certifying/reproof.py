"""Proving pieces once more: what an earlier search has proved, or what a certificate says that one did."""

from __future__ import annotations

import torch

from usncli.certifying.batching import Request
from usncli.certifying.branch_and_bound import Found, Outcome, Pieces, Search
from usncli.certifying.engines import ChosenEngine
from usncli.certifying.problem import ImageProblem
from usncli.certifying.rounds import Rounds
from usncli.certifying.scaling import ScaledRange
from usncli.perturbing import Boxes

MOST_PARTS = 64
"""Parts that a piece may be cut into, on average, before an engine gives up that did not prove it whole."""
TOLERANCE = 1e-4
"""By how much a value computed in float32 may miss a margin, as a share of 1 + the largest absolute output."""


class Reproof:
    """Given pieces under proof by one engine; a `usncli.certifying.scheduling.Job` that shares batches with others.

    Nothing is searched for: pieces are bounded as they are, and cut only where this engine's bounds are too loose.

    Args:
        image: whose pieces they are.
        search: holds the pieces, all rows open.
        chosen: the engine.
        margin: what is said to be a lower bound of the property's margin; values below it contradict. It is not proved
            anew, 0 is. None says nothing.

    Attributes:
        contradicted: a theta inside the pieces at whose value the property fails; None if none was met.
        error: what broke, in one line; None if nothing did.
        passes: work done, in passes of the network.
        seconds: of batches, its share by work.
    """

    def __init__(self, image: ImageProblem, search: Search, chosen: ChosenEngine, margin: float | None = None) -> None:
        self._least = -image.threshold(chosen) if margin is None else margin - TOLERANCE * image.size
        self._image, self._search, self._chosen = image, search, chosen
        self._left, self._most = len(search.unproved.margins), MOST_PARTS * len(search.open.margins)
        self._left -= len(search.open.margins)
        self._rounds = Rounds(search)
        self.contradicted: tuple[float, ...] | None = None
        self.error: str | None = None
        self.passes = self.seconds = 0.0
        self._go_on()

    @classmethod
    def of_pieces(
        cls, image: ImageProblem, boxes: Boxes, rows: int, chosen: ChosenEngine, margin: float | None = None
    ) -> Reproof:
        """Return the proof of pieces of an image's range, each with so many rows; for the margin see the class."""
        wanted = torch.ones(len(boxes.lower), rows, dtype=torch.bool)
        unknown = torch.full((len(boxes.lower),), torch.inf, dtype=torch.float64)
        return cls(image, Search(ScaledRange.of(image.region), Pieces(boxes, wanted, unknown)), chosen, margin)

    @property
    def pieces(self) -> int:
        """Pieces that were bounded."""
        return self._search.pieces

    @property
    def waiting(self) -> int:
        """Pieces that wait to be bounded; 0 once it is over."""
        return 0 if self.error or self.contradicted else self._rounds.waiting

    @property
    def confirmed(self) -> bool:
        """Whether every piece is proved."""
        whole = len(self._search.unproved.margins) == self._left and not self.waiting
        return whole and self.contradicted is None and self.error is None

    def outcome(self) -> Outcome:
        """Say what is proved."""
        self._rounds.withdraw()
        return self._search.outcome()

    def take(self, count: int) -> Request:
        """Hand out up to so many pieces."""
        pieces = self._rounds.take(count)
        return Request(self._image, pieces.boxes, pieces.wanted)

    def give(self, found: Found, seconds: float = 0.0) -> None:
        """Take back what was found; a value at which the property fails ends everything."""
        self.passes += float(found.passes.sum())
        self.seconds += seconds
        finished, threshold = self._rounds.give(found), self._image.threshold(self._chosen)
        if finished is None:
            return
        worst = int(finished.found.margins.argmin())
        if not float(finished.found.margins[worst]) > self._least:
            self.contradicted = tuple(finished.pieces.boxes.centres()[worst].tolist())
        self._search.settle(finished.pieces, finished.found, threshold)
        self._go_on()

    def fail(self, error: Exception) -> None:
        """End without a proof."""
        self.error = f"{type(error).__name__}: {error}".splitlines()[0]

    def _go_on(self) -> None:
        if not self._search.over and self._search.pieces < self._most and self.contradicted is None:
            self._rounds.begin(self._chosen.engine.pieces_at_once)
