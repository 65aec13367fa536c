"""Waivers: images that a gate lets through for a stated reason, until a stated day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

from usncli.certifying.verdicts import QueryRecord, Verdict
from usncli.gating.checks import Check, GateResult

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Waiver(BaseModel):
    """Leave to fail for one image.

    Attributes:
        image: its name in the data.
        perturbation: label of the range; None for every range.
        reason: why, for those who read the baseline after you.
        expires: the last day on which it counts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: Text
    perturbation: Text | None = None
    reason: Text
    expires: date

    def covers(self, image: str, perturbation: str) -> bool:
        """Say whether it is about an image under a perturbation."""
        return self.image == image and self.perturbation in (None, perturbation)

    def __str__(self) -> str:
        where = self.image if self.perturbation is None else f"{self.image} under {self.perturbation}"
        return f"{where} ({self.reason})"


def valid(waivers: Iterable[Waiver], today: date) -> tuple[Waiver, ...]:
    """Return the waivers that count today."""
    return tuple(waiver for waiver in waivers if today <= waiver.expires)


def check_waivers(waivers: Sequence[Waiver], today: date) -> Check | None:
    """Say how waivers stand: one that has expired fails, whether or not it is still needed; None without any."""
    if not waivers:
        return None
    expired = [waiver for waiver in waivers if waiver.expires < today]
    if expired:
        first = expired[0]
        more = f", and {len(expired) - 1} more" if len(expired) > 1 else ""
        message = (
            f"{len(expired)} of {len(waivers)} waivers expired: {first} on {first.expires}{more}; mend the image and "
            "remove the waiver, or give it a new day"
        )
        return Check("waivers", None, GateResult.FAILED, message, tuple(waiver.image for waiver in expired))
    first = min(waivers, key=lambda waiver: waiver.expires)
    message = f"{len(waivers)} waivers, the first expires on {first.expires}: {first}"
    return Check("waivers", None, GateResult.PASSED, message, tuple(waiver.image for waiver in waivers))


def idle(waivers: Iterable[Waiver], queries: Sequence[QueryRecord]) -> list[str]:
    """Say which waivers let nothing through: their images are certified, or not among the queries."""
    verdicts: dict[str, list[tuple[str, Verdict]]] = {}
    for query in queries:
        verdicts.setdefault(query.image, []).append((query.perturbation, query.verdict))
    notes = []
    for waiver in waivers:
        own = [found for label, found in verdicts.get(waiver.image, ()) if waiver.covers(waiver.image, label)]
        if not own:
            notes.append(f"the waiver of {waiver} is about no query of this run")
        elif all(found == Verdict.CERTIFIED for found in own):
            notes.append(f"the waiver of {waiver} is needed no more: certified")
    return notes
