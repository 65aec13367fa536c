"""What a gate looks at, one check at a time, and what each says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class GateResult(StrEnum):
    """What a check, or the whole gate, says; only ``passed`` opens it.

    - ``passed``: the limit is kept.
    - ``failed``: the limit is broken, however the undecided queries would end.
    - ``inconclusive``: queries that are undecided (unknown), crashed (error) or missing, or a baseline that does not
      fit, keep it from passing.
    """

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


def worst(results: Iterable[GateResult]) -> GateResult:
    """Return the worst of some results: one that failed is enough, then one that is inconclusive."""
    order = (GateResult.PASSED, GateResult.INCONCLUSIVE, GateResult.FAILED)
    return max(results, key=order.index, default=GateResult.INCONCLUSIVE)


@dataclass(frozen=True)
class Check:
    """One limit and what came of it.

    Attributes:
        name: what was checked: ``certified rate``, ``unknowns``, ``drop``, ``waivers`` or ``baseline``.
        perturbation: label of the range that it is about; None for all together.
        result: what it says.
        message: one line for people.
        images: names of the images that it is about, such as those newly lost.
    """

    name: str
    perturbation: str | None
    result: GateResult
    message: str
    images: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The whole check in one line."""
        about = self.name if self.perturbation is None else f"{self.name}, {self.perturbation}"
        return f"{self.result}: {about}: {self.message}"

    def to_record(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self) | {"result": self.result.value, "images": list(self.images)}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Check:
        """Rebuild from `to_record`.

        Raises:
            KeyError, TypeError, ValueError: the record is not one.
        """
        return cls(**record | {"result": GateResult(record["result"]), "images": tuple(record["images"])})
