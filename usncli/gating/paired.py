"""Two runs over the same images, one by one: what was lost, what was gained, and whether that is more than noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from usncli.certifying.verdicts import Verdict

UNDECIDED = (Verdict.UNKNOWN, Verdict.ERROR)


def mcnemar(lost: int, gained: int) -> float:
    """Return the one-sided p-value of McNemar's exact test: how likely at least so many are lost if nothing changed.

    Of the ``lost + gained`` images whose verdict changed, each is then as likely lost as gained, so that the number
    lost is binomial with probability 1/2 (McNemar 1947; the exact form is the sign test).

    Args:
        lost: images certified before and not now, at least 0.
        gained: images certified now and not before, at least 0.

    Returns:
        In (0, 1]; 1 where nothing was lost.
    """
    changed = lost + gained
    ways = tail = math.comb(changed, lost)
    for count in range(lost, changed):
        ways = ways * (changed - count) // (count + 1)
        tail += ways
    return float(Fraction(tail, 2**changed))


@dataclass(frozen=True)
class Pairing:
    """The images of a baseline under one perturbation, by what became of them.

    Attributes:
        before: images that were certified.
        lost: those of them that are certified no more, whose verdict is clear (falsified, misclassified).
        unclear: those of them that are undecided, crashed or missing now.
        gained: images that were not certified and are.
        open: images that were not certified and are undecided, crashed or missing now.
        total: all images of the baseline.
    """

    before: tuple[str, ...]
    lost: tuple[str, ...]
    unclear: tuple[str, ...]
    gained: tuple[str, ...]
    open: tuple[str, ...]
    total: int

    @classmethod
    def of(cls, before: Mapping[str, Verdict], now: Mapping[str, Verdict]) -> Pairing:
        """Pair verdicts by the names of images; images that the baseline does not have are left out.

        Args:
            before: of the baseline.
            now: of the run; an image that is missing counts as undecided.
        """
        found: dict[str, list[str]] = {"lost": [], "unclear": [], "gained": [], "open": []}
        for image, verdict in before.items():
            then, current = verdict == Verdict.CERTIFIED, now.get(image, Verdict.UNKNOWN)
            if current in UNDECIDED:
                found["unclear" if then else "open"].append(image)
            elif then != (current == Verdict.CERTIFIED):
                found["lost" if then else "gained"].append(image)
        certified = tuple(image for image, verdict in before.items() if verdict == Verdict.CERTIFIED)
        return cls(certified, **{name: tuple(images) for name, images in found.items()}, total=len(before))

    @property
    def best(self) -> tuple[int, int]:
        """Images lost and gained if every undecided one were certified."""
        return len(self.lost), len(self.gained) + len(self.open)

    @property
    def worst(self) -> tuple[int, int]:
        """Images lost and gained if no undecided one were certified."""
        return len(self.lost) + len(self.unclear), len(self.gained)
