"""What a certification run says."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from usncli.certifying.verdicts import QueryRecord, Verdict

SCHEMA_VERSION = 2
"""Version of `CertificationRecord.to_record`; it grows when a field changes its meaning or goes."""


@dataclass(frozen=True)
class CertificationRecord:
    """All queries of a run.

    Attributes:
        queries: in the order of images, then ranges.
        settings: the options that the verdicts depend on, as JSON values.
        fingerprint: SHA-256 of settings, model and data.
        claim: in one sentence, what "certified" says and what it does not.
        unstable_relus: mean number of ReLUs that cross zero within a hundredth of each range, by its label; empty
            where it was not asked for.
        relus: number of ReLUs of the network as it was bounded.
    """

    queries: tuple[QueryRecord, ...]
    settings: Mapping[str, Any]
    fingerprint: str
    claim: str
    unstable_relus: Mapping[str, float]
    relus: int

    @property
    def counts(self) -> dict[str, int]:
        """Number of queries by verdict; every verdict is a key."""
        return {verdict.value: sum(query.verdict == verdict for query in self.queries) for verdict in Verdict}

    @property
    def certified_rate(self) -> float:
        """Certified queries among all queries; unknown, misclassified and error count in the denominator only."""
        return self.counts[Verdict.CERTIFIED.value] / len(self.queries) if self.queries else 0.0

    @property
    def mean_seconds(self) -> float:
        """Mean wall time of a query."""
        return sum(query.seconds for query in self.queries) / len(self.queries) if self.queries else 0.0

    @property
    def total_passes(self) -> float:
        """Work of all queries, in passes of the network over one image."""
        return sum(query.passes for query in self.queries)

    @property
    def median_passes(self) -> float:
        """Median work of a query, in passes of the network; 0 without queries."""
        return statistics.median(query.passes for query in self.queries) if self.queries else 0.0

    def to_record(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        return {
            "schema_version": SCHEMA_VERSION,
            "fingerprint": self.fingerprint,
            "settings": dict(self.settings),
            "claim": self.claim,
            "certified_rate": self.certified_rate,
            "certified": self.counts[Verdict.CERTIFIED.value],
            "total": len(self.queries),
            "counts": self.counts,
            "mean_seconds": self.mean_seconds,
            "total_passes": self.total_passes,
            "median_passes": self.median_passes,
            "relus": self.relus,
            "unstable_relus": dict(self.unstable_relus),
            "queries": [query.to_record() for query in self.queries],
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> CertificationRecord:
        """Rebuild from `to_record`.

        Raises:
            KeyError, TypeError, ValueError: the record is not one of this version.
        """
        if record["schema_version"] != SCHEMA_VERSION:
            raise ValueError(
                f"expected schema version {SCHEMA_VERSION}, got {record['schema_version']}; certify again to read it"
            )
        return cls(
            tuple(QueryRecord.from_record(query) for query in record["queries"]),
            record["settings"],
            record["fingerprint"],
            record["claim"],
            record["unstable_relus"],
            record["relus"],
        )
