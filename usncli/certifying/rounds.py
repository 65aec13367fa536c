"""A search handed out round by round, each round in whatever batches."""

from __future__ import annotations

from typing import NamedTuple

import torch

from usncli.certifying.branch_and_bound import Found, Pieces, Search


class Round(NamedTuple):
    """A finished round: its pieces, and what was found of them."""

    pieces: Pieces
    found: Found


class Rounds:
    """The rounds of a search.

    Args:
        search: whose pieces are handed out.
    """

    def __init__(self, search: Search) -> None:
        self._search = search
        self._pieces: Pieces | None = None
        self._handed = 0
        self._found: list[Found] = []

    @property
    def waiting(self) -> int:
        """Pieces of the round that are not handed out."""
        return 0 if self._pieces is None else len(self._pieces.margins) - self._handed

    def begin(self, most: int) -> None:
        """Begin a round of at most so many pieces."""
        self._pieces, self._handed, self._found = self._search.next_round(most), 0, []

    def take(self, count: int) -> Pieces:
        """Hand out up to so many pieces."""
        assert self._pieces is not None
        start, self._handed = self._handed, min(self._handed + count, len(self._pieces.margins))
        return self._pieces.take(torch.arange(start, self._handed))

    def give(self, found: Found) -> Round | None:
        """Take back what was found of pieces, in the order in which they were handed out; return a finished round."""
        assert self._pieces is not None
        self._found.append(found)
        if sum(len(part.margins) for part in self._found) < len(self._pieces.margins):
            return None
        pieces, self._pieces = self._pieces, None
        return Round(pieces, Found(*[torch.cat(parts) for parts in zip(*self._found, strict=True)]))

    def withdraw(self) -> None:
        """Put the pieces of an unfinished round back with the open ones."""
        if self._pieces is not None:
            self._search.put_back(self._pieces)
        self._pieces = None
