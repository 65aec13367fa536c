"""The limits of a gate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from usncli.errors import ConfigurationError

EVERY = "every"
"""The key of a limit for every perturbation that has none of its own; the settings use the same word."""


@dataclass(frozen=True)
class Limits:
    """What must hold for a gate to open; shares are of all images, in [0, 1].

    Attributes:
        certified: least certified share by perturbation: its label (``brightness=0.1``), or its name (``brightness``)
            for every range of it, or `EVERY`. The label counts before the name, and the name before `EVERY`.
        overall: least certified share of all queries.
        unknown: largest share of a perturbation's queries that may stay undecided or crash.
        drop: largest loss of certified share against a baseline that is let through however sure it is.
        significance: p-value, in (0, 1), up to which a larger loss counts as one.

    Raises:
        ConfigurationError: a number out of its range.
    """

    certified: Mapping[str, float] = field(default_factory=dict)
    overall: float | None = None
    unknown: float | None = None
    drop: float = 0.0
    significance: float = 0.05

    def __post_init__(self) -> None:
        shares: dict[str, float | None] = {f"min-certified {key}": share for key, share in self.certified.items()}
        shares |= {"min-certified-overall": self.overall, "max-unknown": self.unknown, "max-drop": self.drop}
        for name, share in shares.items():
            if share is not None and not 0 <= share <= 1:
                raise ConfigurationError(f"--{name}: expected a share from 0 to 1, got {share}")
        if not 0 < self.significance < 1:
            raise ConfigurationError(
                f"--drop-significance: expected a p-value above 0 and below 1, got {self.significance}"
            )

    @property
    def any(self) -> bool:
        """Whether anything is asked of a run alone."""
        return bool(self.certified) or self.overall is not None or self.unknown is not None

    def of(self, label: str) -> float | None:
        """Return the least certified share of a perturbation, None where it has no limit."""
        return next((self.certified[key] for key in (label, kind_of(label), EVERY) if key in self.certified), None)

    def require_known(self, labels: Iterable[str]) -> None:
        """Refuse limits of perturbations that a run does not have: such a limit would guard nothing.

        Raises:
            ConfigurationError: there is one.
        """
        labels = list(labels)
        known = {EVERY, *labels, *map(kind_of, labels)}
        for key in self.certified:
            if key not in known:
                raise ConfigurationError(
                    f"--min-certified: expected limits of perturbations of this run ({', '.join(labels)}), got one of "
                    f"{key}; correct its name"
                )


def kind_of(label: str) -> str:
    """Return the names of a range's parameters: ``brightness,contrast`` of ``brightness=0.1,contrast=0.8:1.2``."""
    return ",".join(part.partition("=")[0] for part in label.split(","))
