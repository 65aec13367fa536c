"""The five verdicts, and what is recorded of each query."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from usncli.certifying.partition import Partition


class Verdict(StrEnum):
    """How a query ended.

    - ``certified``: proved for every theta of the range.
    - ``falsified``: at a recorded theta the shipped network really fails, replayed.
    - ``unknown``: the budget ran out first.
    - ``misclassified``: already wrong without any perturbation; counts against the rate.
    - ``error``: the query crashed; never counted as certified.
    """

    CERTIFIED = "certified"
    FALSIFIED = "falsified"
    UNKNOWN = "unknown"
    MISCLASSIFIED = "misclassified"
    ERROR = "error"


@dataclass(frozen=True)
class QueryRecord:
    """One image and one perturbation range.

    Attributes:
        image: name of the image in the data set.
        index: its position there.
        perturbation: label of the range, as a user writes it.
        verdict: how the query ended.
        margin: for falsified, the shipped network's margin at the witness, 0 or below; for certified, the least proved
            lower bound of a margin over the pieces; for unknown, the least margin that was met; None for error.
        clean_margin: margin without perturbation; None for error.
        pieces: pieces of theta that were bounded.
        passes: work done, in passes of the network over one image; see `usncli.bounding.engine.Bounded`.
        seconds: wall time; of a batch that several queries share, the query's part by work done.
        certified_fraction: share of the range's volume that is proved, in [0, 1].
        certified_lower, certified_upper: the largest proved box around the identity that was found, one number a
            parameter; None if there is none.
        pieces_along: mean number of proved pieces along each parameter, over the proved part of the range; None if
            nothing is proved.
        witness: for falsified, the theta, one number a parameter.
        certified_scale: for runs that look for the largest range: the largest share s of the range, in [0, 1], for
            which ``identity + s * (range - identity)`` is proved; None for other runs, and for error.
        falsified_scale: likewise, the smallest share whose range holds a replayed counterexample; None also where there
            is none.
        engine: whose bounds the verdict rests on, ``usn``, ``lirpa`` or both joined by ``+``; None where it took none.
        message: for error, what went wrong; for unknown, what ended it if not the query's own budget.
        partition: for certified, the pieces that the verdict rests on; None in records that are read back.
    """

    image: str
    index: int
    perturbation: str
    verdict: Verdict
    margin: float | None = None
    clean_margin: float | None = None
    pieces: int = 0
    passes: float = 0.0
    seconds: float = 0.0
    certified_fraction: float = 0.0
    certified_lower: tuple[float, ...] | None = None
    certified_upper: tuple[float, ...] | None = None
    pieces_along: tuple[float, ...] | None = None
    witness: tuple[float, ...] | None = None
    certified_scale: float | None = None
    falsified_scale: float | None = None
    engine: str | None = None
    message: str | None = None
    partition: Partition | None = None

    def to_record(self) -> dict[str, Any]:
        """Return the fields as plain JSON values, but for the partition, which has its own place."""
        values = asdict(replace(self, partition=None))
        del values["partition"]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()} | {
            "verdict": self.verdict.value
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> QueryRecord:
        """Rebuild from `to_record`.

        Raises:
            KeyError, TypeError, ValueError: the record is not one.
        """
        values = dict(record)
        values["verdict"] = Verdict(values["verdict"])
        for name in ("certified_lower", "certified_upper", "pieces_along", "witness"):
            if values.get(name) is not None:
                values[name] = tuple(float(number) for number in values[name])
        return cls(**values)
