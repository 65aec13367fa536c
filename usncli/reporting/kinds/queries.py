"""The queries of a certification, counted and put in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from usncli.certifying.scaling import ScaledRange
from usncli.certifying.verdicts import Verdict
from usncli.errors import ConfigurationError
from usncli.perturbing import parse_range
from usncli.reporting.document import Status
from usncli.reporting.plots import Rate
from usncli.reporting.table import printable

Query = Mapping[str, Any]

WORST_FIRST = (Verdict.ERROR, Verdict.MISCLASSIFIED, Verdict.FALSIFIED, Verdict.UNKNOWN, Verdict.CERTIFIED)

LEVELS: Mapping[Verdict, str] = {
    Verdict.ERROR: "error",
    Verdict.MISCLASSIFIED: "error",
    Verdict.FALSIFIED: "error",
    Verdict.UNKNOWN: "warning",
}
"""How grave what is not certified is, in SARIF's words: an error is wrong for certain."""

GATE_LEVELS: Mapping[Status, str] = {
    Status.PASSED: "note",
    Status.INFORMATION: "note",
    Status.INCONCLUSIVE: "warning",
    Status.FAILED: "error",
}
"""How grave it is how a gate stands, in the same words."""


def by_perturbation(queries: Sequence[Query]) -> dict[str, list[Query]]:
    """Return the queries of each perturbation, in the order in which they first appear."""
    found: dict[str, list[Query]] = {}
    for query in queries:
        found.setdefault(query["perturbation"], []).append(query)
    return found


def counts(queries: Sequence[Query]) -> dict[str, int]:
    """Return the number of queries by verdict; every verdict is a key."""
    return {verdict.value: sum(query["verdict"] == verdict.value for query in queries) for verdict in Verdict}


def rate(queries: Sequence[Query]) -> Rate:
    """Return the certified queries among all: whatever else came out counts in the denominator."""
    return Rate(counts(queries)[Verdict.CERTIFIED.value], len(queries))


def worst_first(queries: Sequence[Query]) -> list[Query]:
    """Return queries with crashes first and certified ones last; the least margin first among equals."""
    order = {verdict.value: place for place, verdict in enumerate(WORST_FIRST)}
    return sorted(queries, key=lambda query: (order[query["verdict"]], _margin(query)))


def not_certified(queries: Sequence[Query]) -> list[Query]:
    """Return the queries that are not certified, in the order of `worst_first`."""
    return worst_first([query for query in queries if query["verdict"] != Verdict.CERTIFIED])


def parameters(label: str) -> tuple[str, ...]:
    """Return the names of theta's parameters, in order, from a range's label."""
    return tuple(part.partition("=")[0] for part in label.split(","))


def theta_words(label: str, theta: Sequence[float]) -> str:
    """Say a theta: ``brightness -0.0812``."""
    return ", ".join(f"{name} {value:.4g}" for name, value in zip(parameters(label), theta, strict=True))


def box_words(
    label: str, lower: Sequence[float] | None, upper: Sequence[float] | None, *, outward: bool = False
) -> str | None:
    """Say a box as ``--perturb`` would take it, rounded inward or outward; None where there is none."""
    if lower is None or upper is None:
        return None
    sides = zip(parameters(label), lower, upper, strict=True)
    return ",".join(f"{name}={_short(low, not outward)}:{_short(high, outward)}" for name, low, high in sides)


def _short(number: float, upward: bool) -> str:
    """Write a number in at most four digits, rounded up or down: what is said of a range holds for what is written."""
    exact = Decimal(repr(number))
    step = Decimal(1).scaleb(exact.adjusted() - 3)
    return f"{float(exact.quantize(step, ROUND_CEILING if upward else ROUND_FLOOR)):.4g}"


def scaled_words(label: str, scale: float | None, *, outward: bool = False) -> str | None:
    """Say the range at a share of its size around no change, as ``--perturb`` would take it; None without a share.

    A label that is not one of ``--perturb`` is said with the share beside it.
    """
    if scale is None:
        return None
    try:
        region = parse_range(label)
    except ConfigurationError:
        return f"{scale:.4g} of {label}"
    box = ScaledRange.of(region).box(scale)
    return box_words(label, box.lower[0].tolist(), box.upper[0].tolist(), outward=outward)


def outcome_words(query: Query) -> str:
    """Say in a few words what came out of a query beyond its verdict."""
    if query["verdict"] == Verdict.FALSIFIED and query["witness"] is not None:
        return f"fails at {theta_words(query['perturbation'], query['witness'])}"
    if query["verdict"] == Verdict.ERROR:
        return str(query["message"])
    if query["verdict"] == Verdict.MISCLASSIFIED:
        return "already wrong without perturbation"
    proved = box_words(query["perturbation"], query["certified_lower"], query["certified_upper"])
    if query["verdict"] == Verdict.UNKNOWN:
        words = f"proved: {proved or 'nothing'} ({_part(query['certified_fraction'])} of the range)"
        return words if query["message"] is None else f"{words}; {query['message']}"
    return "proved for the whole range"


def sentence(query: Query) -> str:
    """Say image, perturbation, verdict and outcome in one line, printable characters only."""
    return printable(f"{query['image']}: {query['verdict']} under {query['perturbation']}: {outcome_words(query)}")


def short_words(query: Query) -> str | None:
    """Say what came out of a query that is not certified, in about a dozen characters; a crash in full."""
    if query["verdict"] == Verdict.FALSIFIED and query["witness"] is not None:
        return "at " + ", ".join(f"{value:.3g}" for value in query["witness"])
    if query["verdict"] == Verdict.UNKNOWN:
        return f"{_part(query['certified_fraction'])} proved"
    return str(query["message"]) if query["verdict"] == Verdict.ERROR else None


def _part(fraction: float) -> str:
    """Write a share of a range that is not the whole range: never as 100%."""
    return "over 99.9%" if fraction > 0.999 else f"{fraction:.1%}"


def _margin(query: Query) -> float:
    margin = query["margin"]
    return float("-inf") if margin is None else float(margin)
