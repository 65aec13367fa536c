"""The release gate: whether a certified rate is high enough."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from usncli.certifying.records import CertificationRecord
from usncli.errors import ConfigurationError, NothingToCertifyError


class GateResult(StrEnum):
    """What the gate says; only ``passed`` opens it.

    - ``passed``: the certified rate reaches the limit, and no query crashed.
    - ``failed``: the rate is below the limit even if every undecided query were certified.
    - ``inconclusive``: queries that are undecided (unknown) or crashed (error) keep the gate from passing.
    """

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class GateOutcome:
    """The gate's decision with the counts it rests on.

    Attributes:
        result: the decision.
        certified, unknown, errors, total: queries.
        min_certified: the limit, a share in [0, 1].
        message: one line for people.
    """

    result: GateResult
    certified: int
    unknown: int
    errors: int
    total: int
    min_certified: float
    message: str


def judge(record: CertificationRecord, min_certified: float) -> GateOutcome:
    """Decide whether a run passes.

    A crash never opens the gate: it is counted with the undecided queries, and even a rate that reaches the limit
    without the crashed queries is inconclusive.

    Args:
        record: a finished run.
        min_certified: least share of certified queries among all, in [0, 1].

    Raises:
        ConfigurationError: the limit is not in [0, 1].
        NothingToCertifyError: the run has no query.
    """
    if not 0 <= min_certified <= 1:
        raise ConfigurationError(f"--min-certified: expected a share from 0 to 1, got {min_certified}")
    counts = record.counts
    total = len(record.queries)
    if not total:
        raise NothingToCertifyError("the gate: expected at least one query, got none; give images and --perturb")
    certified, unknown, errors = counts["certified"], counts["unknown"], counts["error"]
    if certified / total >= min_certified and not errors:
        result = GateResult.PASSED
    elif (certified + unknown + errors) / total >= min_certified:
        result = GateResult.INCONCLUSIVE
    else:
        result = GateResult.FAILED
    message = (
        f"gate {result}: {certified} of {total} certified ({certified / total:.1%}), {unknown} unknown, "
        f"{errors} crashed; the limit is {min_certified:.1%}"
    )
    return GateOutcome(result, certified, unknown, errors, total, min_certified, message)
