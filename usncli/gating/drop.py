"""A run held against a baseline: what it lost, and whether the two can be compared at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from usncli.certifying.records import CertificationRecord
from usncli.gating.baseline import Baseline, Identity, verdicts_by_image
from usncli.gating.checks import Check, GateResult
from usncli.gating.limits import Limits
from usncli.gating.paired import Pairing, mcnemar

NAMED = 10
"""Images that a message names; a check's record has all."""


def drop_checks(
    baseline: Baseline,
    record: CertificationRecord,
    waived: Mapping[str, Sequence[str]],
    limits: Limits,
    identity: Identity | None,
) -> tuple[list[Check], list[str]]:
    """Hold a run against a baseline.

    Args:
        baseline: what came before.
        record: the run.
        waived: names of images that are left out, by label of the perturbation.
        limits: largest loss.
        identity: what the run was; a run of which it is not known cannot be compared.

    Returns:
        A check for every perturbation of either; and how the two runs differ.
    """
    told, asked = baseline.identity.differences(identity) if identity else ([], ["what it was is not known"])
    notes = [f"against the baseline, {difference}" for difference in told]
    if asked:
        message = (
            f"this run asks something else than the baseline: {'; '.join(asked)}; ask the same, or write a new one"
        )
        return [Check("baseline", None, GateResult.INCONCLUSIVE, message)], notes
    checks, now = [], verdicts_by_image(record)
    for label in dict.fromkeys([*now, *baseline.verdicts]):
        if label not in baseline.verdicts:
            words = "is not in the baseline; write a new one with --write-baseline"
        elif label not in now:
            words = "is in the baseline and was not certified now; add it with --perturb, or write a new baseline"
        else:
            out = set(waived.get(label, ()))
            before = {image: found for image, found in baseline.by_image(label).items() if image not in out}
            checks.append(drop_check(label, Pairing.of(before, now[label]), limits))
            continue
        checks.append(Check("drop", label, GateResult.INCONCLUSIVE, f"{label} {words}"))
    return checks, notes


def drop_check(label: str, pairing: Pairing, limits: Limits) -> Check:
    """Check what was lost against a baseline: a loss above the limit that is more than noise fails.

    Args:
        label: of the perturbation.
        pairing: images of the baseline that no waiver takes out.
        limits: largest loss, and the p-value up to which it counts.
    """

    def breaks(lost: int, gained: int) -> bool:
        loss = (lost - gained) / max(pairing.total, 1)
        return loss > limits.drop and mcnemar(lost, gained) <= limits.significance

    if breaks(*pairing.best):
        result = GateResult.FAILED
    else:
        result = GateResult.INCONCLUSIVE if breaks(*pairing.worst) or not pairing.total else GateResult.PASSED
    lost = (*pairing.lost, *pairing.unclear)
    message = (
        f"{len(pairing.before)} of {pairing.total} were certified in the baseline; {len(pairing.lost)} lost, "
        f"{len(pairing.unclear)} undecided now, {len(pairing.gained)} gained, p = {mcnemar(*pairing.worst):.3g}; the "
        f"limit is a drop of {limits.drop:.1%} with p up to {limits.significance:g}"
    )
    if lost:
        message += f"; lost: {', '.join(lost[:NAMED])}" + (f" and {len(lost) - NAMED} more" if lost[NAMED:] else "")
    return Check("drop", label, result, message, lost)
