"""The gate itself: every check of a run, and the worst of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from usncli.certifying.records import CertificationRecord
from usncli.certifying.verdicts import Verdict
from usncli.errors import NothingToCertifyError
from usncli.gating.baseline import Baseline, Identity
from usncli.gating.checks import Check, GateResult, worst
from usncli.gating.drop import drop_checks
from usncli.gating.limits import Limits
from usncli.gating.paired import UNDECIDED
from usncli.gating.waivers import Waiver, check_waivers, idle, valid

GATE_FILE = "gate.json"
"""Name of the gate's record in a run's folder."""


@dataclass(frozen=True)
class Gate:
    """What a gate says of a run.

    Attributes:
        checks: one for each limit, at least one.
        notes: what else a reader should know, such as how the run differs from the baseline's.
        day: on which it was judged, since waivers expire.
    """

    checks: tuple[Check, ...]
    notes: tuple[str, ...]
    day: date

    @property
    def lines(self) -> tuple[str, ...]:
        """What it says, a line a check, the whole last."""
        passed = sum(check.result == GateResult.PASSED for check in self.checks)
        whole = f"gate {self.result}: {passed} of {len(self.checks)} checks passed"
        return (*(check.line for check in self.checks), *self.notes, whole)

    @property
    def result(self) -> GateResult:
        """The worst of all checks; without one the gate is not open."""
        return worst(check.result for check in self.checks)

    def to_record(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "result": self.result.value,
            "day": self.day.isoformat(),
            "checks": [check.to_record() for check in self.checks],
            "notes": list(self.notes),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Gate:
        """Rebuild from `to_record`.

        Raises:
            KeyError, TypeError, ValueError: the record is not one.
        """
        checks = tuple(Check.from_record(check) for check in record["checks"])
        return cls(checks, tuple(record["notes"]), date.fromisoformat(record["day"]))


def judge(
    record: CertificationRecord,
    limits: Limits,
    baseline: Baseline | None = None,
    identity: Identity | None = None,
    today: date | None = None,
) -> Gate | None:
    """Decide whether a run passes.

    A gate that cannot decide is closed: undecided, crashed and missing queries count as certified only to find out
    whether a limit is broken in any case (failed) or may still be kept (inconclusive). Queries that a valid waiver
    covers are left out, unless they are certified.

    Args:
        record: a finished run.
        limits: what must hold.
        baseline: a run to hold it against, with waivers.
        identity: what the run was, to say how it differs from the baseline's.
        today: on which waivers are judged; by default the day in UTC.

    Returns:
        None where neither a limit nor a baseline is given: then there is no gate.

    Raises:
        ConfigurationError: a limit of a perturbation that the run does not have.
        InputError: a baseline, and two images of one name.
        NothingToCertifyError: the run has no query.
    """
    if not limits.any and baseline is None:
        return None
    if not record.queries:
        raise NothingToCertifyError("the gate: expected at least one query, got none; give images and --perturb")
    day = today or datetime.now(UTC).date()
    waivers = baseline.waivers if baseline else ()
    counted = _Counted.of(record, valid(waivers, day))
    limits.require_known(counted.labels)
    checks = [*_rates(counted, limits), *_unknowns(counted, limits)]
    notes: list[str] = []
    if baseline is not None:
        found, notes = drop_checks(baseline, record, counted.waived, limits, identity)
        checks += found
        notes += idle(waivers, record.queries)
    standing = check_waivers(waivers, day)
    return Gate((*checks, *([standing] if standing else [])), tuple(notes), day)


@dataclass(frozen=True)
class _Counted:
    """The verdicts that count, by perturbation, and how many a waiver takes out."""

    verdicts: Mapping[str, tuple[Verdict, ...]]
    waived: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, record: CertificationRecord, waivers: Sequence[Waiver]) -> _Counted:
        verdicts: dict[str, list[Verdict]] = {}
        waived: dict[str, list[str]] = {}
        covering: dict[str, list[Waiver]] = {}
        for waiver in waivers:
            covering.setdefault(waiver.image, []).append(waiver)
        for query in record.queries:
            label, out = query.perturbation, waived.setdefault(query.perturbation, [])
            own = verdicts.setdefault(label, [])
            if query.verdict != Verdict.CERTIFIED and any(
                waiver.covers(query.image, label) for waiver in covering.get(query.image, ())
            ):
                out.append(query.image)
            else:
                own.append(query.verdict)
        return cls(
            {label: tuple(found) for label, found in verdicts.items()},
            {label: tuple(images) for label, images in waived.items()},
        )

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.verdicts)

    def together(self) -> tuple[tuple[Verdict, ...], int]:
        """Return all verdicts, and how many are waived."""
        verdicts = tuple(verdict for found in self.verdicts.values() for verdict in found)
        return verdicts, sum(map(len, self.waived.values()))


def _rates(counted: _Counted, limits: Limits) -> Iterator[Check]:
    """Check certified shares, by perturbation and over all."""
    for label, verdicts in counted.verdicts.items():
        least = limits.of(label)
        if least is not None:
            yield certified_check(label, verdicts, len(counted.waived[label]), least)
    if limits.overall is not None:
        yield certified_check(None, *counted.together(), limits.overall)


def certified_check(label: str | None, verdicts: Sequence[Verdict], waived: int, least: float) -> Check:
    """Check the certified share of some queries.

    Args:
        label: of the perturbation; None for all.
        verdicts: that count.
        waived: how many more are left out.
        least: the limit.
    """
    certified, errors = verdicts.count(Verdict.CERTIFIED), verdicts.count(Verdict.ERROR)
    unknown, total = verdicts.count(Verdict.UNKNOWN), len(verdicts)
    if total and certified / total >= least and not errors:
        result = GateResult.PASSED
    elif not total or (certified + unknown + errors) / total >= least:
        result = GateResult.INCONCLUSIVE
    else:
        result = GateResult.FAILED
    share = f" ({certified / total:.1%})" if total else ""
    message = f"{certified} of {total} certified{share}, {unknown} unknown, {errors} crashed"
    message += f", {waived} waived" if waived else ""
    return Check("certified rate", label, result, f"{message}; the limit is {least:.1%}")


def _unknowns(counted: _Counted, limits: Limits) -> Iterator[Check]:
    """Check the share of undecided queries."""
    if limits.unknown is None:
        return
    for label, verdicts in counted.verdicts.items():
        undecided, total = sum(verdict in UNDECIDED for verdict in verdicts), len(verdicts)
        kept = total > 0 and undecided / total <= limits.unknown
        message = f"{undecided} of {total} unknown or crashed; the limit is {limits.unknown:.1%}"
        yield Check("unknowns", label, GateResult.PASSED if kept else GateResult.INCONCLUSIVE, message)
