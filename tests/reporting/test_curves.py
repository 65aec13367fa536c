"""The certified rate against eps, from several ranges and from searches for the largest one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from usncli.certifying.verdicts import QueryRecord, Verdict
from usncli.reporting.kinds.curves import MOST_STEPS, rate_curves, sized_range
from usncli.reporting.rates import RateCurve

C, F, U, M, E = Verdict.CERTIFIED, Verdict.FALSIFIED, Verdict.UNKNOWN, Verdict.MISCLASSIFIED, Verdict.ERROR


def asked(label: str, verdicts: list[Verdict], scales: list[tuple[float | None, float | None]] | None = None) -> Any:
    return [
        QueryRecord(
            f"{index}.png", index, label, verdict, certified_scale=certified, falsified_scale=falsified
        ).to_record()
        for index, (verdict, (certified, falsified)) in enumerate(
            zip(verdicts, scales or [(None, None)] * len(verdicts), strict=True)
        )
    ]


def told(curve: RateCurve, name: str = "points") -> list[tuple[float, str]]:
    return [(step.eps, str(step.rate)) for step in getattr(curve, name)]


def test_one_range_is_no_curve() -> None:
    assert rate_curves(asked("brightness=0.1", [C, F])) == ()
    assert rate_curves([*asked("brightness=0.1", [C, F]), *asked("contrast=0.1", [C, F])]) == ()


def test_ranges_of_one_perturbation_are_points_of_a_curve() -> None:
    queries = [
        *asked("brightness=0.1", [C, F, F, U]),
        *asked("contrast=0.3", [C, C, C, C]),
        *asked("brightness=0.02", [C, C, C, M]),
        *asked("contrast=0.1", [C, C, C, E]),
    ]
    brightness, contrast = rate_curves(queries)
    assert told(brightness) == [(0.02, "3/4"), (0.1, "1/4")]
    assert told(contrast) == [(0.1, "3/4"), (0.3, "4/4")], "what is recorded, even if a larger range did better"
    assert brightness.axis == "eps: brightness may change by up to this"
    assert brightness.certified == brightness.standing == ()


def test_ranges_that_are_not_scaled_versions_of_each_other_share_no_curve() -> None:
    joint = "brightness=0.05,contrast=0.1"
    labels = [joint, "brightness=0.1,contrast=0.1", "brightness=0.05", "brightness=-0.05:0.1"]
    assert len({sized_range(label).family for label in labels}) == 4
    assert rate_curves([query for label in labels for query in asked(label, [C, F])]) == ()
    (curve,) = rate_curves([*asked(joint, [C, C]), *asked("brightness=0.1,contrast=0.2", [C, F])])
    assert told(curve) == [(0.5, "2/2"), (1.0, "1/2")]
    assert curve.axis == "eps: this share of brightness=0.1,contrast=0.2"
    assert curve.name == "brightness and contrast"
    (lopsided,) = rate_curves([*asked("brightness=-0.05:0.1", [C, C]), *asked("brightness=-0.1:0.2", [C, F])])
    assert told(lopsided) == [(0.5, "2/2"), (1.0, "1/2")]


def test_largest_ranges_make_a_curve_of_one_range() -> None:
    scales = [(1.0, None), (0.5, 0.6), (0.2, None), (0.0, 0.05), (None, None), (None, None)]
    (curve,) = rate_curves(asked("brightness=0.1", [C, F, U, F, M, E], scales))
    assert told(curve) == [(0.1, "1/6")]
    assert told(curve, "certified") == [
        (0.0, "4/6"),  # right without perturbation
        (pytest.approx(0.02), "3/6"),
        (pytest.approx(0.05), "2/6"),
        (0.1, "1/6"),
    ]
    assert told(curve, "standing") == [
        (0.0, "5/6"),  # one is wrong as it is; of the crashed one nothing is known
        (pytest.approx(0.005), "4/6"),
        (pytest.approx(0.06), "3/6"),
        (0.1, "3/6"),
    ]


def test_several_searched_ranges_are_one_curve() -> None:
    wide = asked("brightness=0.1", [F, U], [(0.1, 0.9), (0.3, None)])
    narrow = asked("brightness=0.05", [C, F], [(1.0, None), (0.4, 0.5)])
    (curve,) = rate_curves([*wide, *narrow])
    assert told(curve) == [(0.05, "1/2"), (0.1, "0/2")]
    assert told(curve, "certified") == [(0.0, "2/2"), (pytest.approx(0.03), "2/2"), (0.05, "1/2"), (0.1, "0/2")]
    assert told(curve, "standing") == [
        (0.0, "2/2"),
        (pytest.approx(0.025), "1/2"),
        (pytest.approx(0.09), "0/2"),
        (0.1, "0/2"),
    ]


def test_thinned_curves_err_to_the_safe_side() -> None:
    count = 1001
    scales = [((index + 0.5) / count, (index + 0.7) / count) for index in range(count)]
    queries = asked("our own", [F] * count, scales)
    (curve,) = rate_curves(queries)
    assert len(curve.certified) <= MOST_STEPS + 2
    assert len(curve.standing) <= MOST_STEPS + 2
    for eps in (0.0003, 0.1234, 0.5, 0.9999):
        proved = next(step.rate.count for step in curve.certified if step.eps >= eps)
        standing = [step.rate.count for step in curve.standing if step.eps <= eps][-1]
        assert proved <= sum(certified >= eps for certified, _ in scales)
        assert standing >= sum(falsified > eps for _, falsified in scales)
        assert standing - proved < 15
    assert (curve.name, curve.axis) == ("our own", "eps: this share of our own")


def test_a_certified_query_without_a_search_counts_up_to_its_range() -> None:
    searched = asked("brightness=0.1", [F], [(0.2, 0.3)])
    plain = [replace(QueryRecord("0.png", 0, "brightness=0.025", C)).to_record()]
    (curve,) = rate_curves([*searched, *plain])
    assert told(curve, "certified") == [(0.0, "1/1"), (0.025, "1/1"), (0.1, "0/1")]
