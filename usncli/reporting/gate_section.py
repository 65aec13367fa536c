"""The gate on a page: what was newly lost, every check, and the waivers."""

from __future__ import annotations

from typing import NamedTuple

from usncli.gating.checks import Check, GateResult
from usncli.gating.gate import Gate
from usncli.reporting.anchors import anchors_by_name
from usncli.reporting.document import Section
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.templating import fill

WORST_FIRST = (GateResult.FAILED, GateResult.INCONCLUSIVE, GateResult.PASSED)
DROP = "drop"
"""Name of the checks that hold a run against a baseline."""
SHOWN_LOST, MOST_LOST = 12, 200
"""Newly lost images that are shown at once, and that are listed; among all images every one of them is marked."""


class LostImage(NamedTuple):
    """An image that a baseline certified and this run does not.

    Attributes:
        name: of the image.
        outcomes: its verdict now, or that it is missing, each with the ranges that this is lost under.
    """

    name: str
    outcomes: tuple[str, ...]


def gate_section(run: FinishedRun, number: int) -> Section | None:
    """Return what the gate says of a run; None where it had no limits.

    Args:
        run: a certification.
        number: of the run on its page, for links to its images.
    """
    gate = run.gate
    if gate is None:
        return None
    lost = lost_images(run)
    compared = any(check.name == DROP for check in gate.checks)
    block = fill(
        "gate.html.j2",
        lost=lost[:SHOWN_LOST] if compared else None,
        folded=lost[SHOWN_LOST:MOST_LOST],
        total=len(lost),
        checks=worst_checks(gate),
        waivers=[(waiver, waiver.expires < gate.day) for waiver in gate.waivers],
        day=gate.day,
        notes=gate.notes,
        anchors=anchors_by_name(run, number),
        slug=f"gate-{number}",
    )
    return Section(f"Gate: {run.name}", (gate.lines[-1],), blocks=(block,))


def worst_checks(gate: Gate) -> list[Check]:
    """Return the checks of a gate, those that failed first."""
    return sorted(gate.checks, key=lambda check: WORST_FIRST.index(check.result))


def lost_images(run: FinishedRun) -> tuple[LostImage, ...]:
    """Return the images that are newly lost against the baseline, in the order of the checks."""
    now = {(query["image"], query["perturbation"]): query["verdict"] for query in run.record["queries"]}
    found: dict[str, dict[str, list[str]]] = {}
    for check in run.gate.checks if run.gate else ():
        for image in check.images if check.name == DROP else ():
            label = str(check.perturbation)
            found.setdefault(image, {}).setdefault(now.get((image, label), "not in this run"), []).append(label)
    return tuple(
        LostImage(image, tuple(f"{verdict} under {', '.join(labels)}" for verdict, labels in outcomes.items()))
        for image, outcomes in found.items()
    )


def waived_images(gate: Gate | None) -> frozenset[str]:
    """Return the names of the images that a waiver is about which counts on the gate's day."""
    waivers = gate.waivers if gate else ()
    return frozenset(waiver.image for waiver in waivers if gate and waiver.expires >= gate.day)
