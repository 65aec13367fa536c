"""Runs for the gate's tests, made of verdicts alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from usncli.certifying.records import CertificationRecord
from usncli.certifying.verdicts import QueryRecord, Verdict
from usncli.gating.baseline import Identity

C, F, U, M, E = Verdict.CERTIFIED, Verdict.FALSIFIED, Verdict.UNKNOWN, Verdict.MISCLASSIFIED, Verdict.ERROR


def run_record(verdicts: dict[str, list[Verdict]], names: Sequence[str] | None = None) -> CertificationRecord:
    """Return a run over images ``000.png``, ``001.png``, ... or of other names."""
    queries = tuple(
        QueryRecord(names[index] if names else f"{index:03}.png", index, label, verdict)
        for label, found in verdicts.items()
        for index, verdict in enumerate(found)
    )
    return CertificationRecord(queries, {}, "f" * 64, "what certified claims", {}, 10)


def manifest(model: str = "a" * 64, **settings: Any) -> dict[str, Any]:
    known = {"tau": 2.0, "reference": "prediction", "seconds": 60} | settings
    return {"identity": {"inputs": {"model": model, "data": "d" * 64}, "settings": known, "version": "0.1.0"}}


def identity(**values: Any) -> Identity:
    return Identity.of_manifest(manifest(**values))
