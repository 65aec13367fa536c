"""The gate by hand-made runs: each limit, what undecided queries do to it, and what it asks of its own use."""

from __future__ import annotations

import json
from datetime import date

import pytest
from gate_runs import C, E, F, M, U, run_record

from usncli.certifying.verdicts import Verdict
from usncli.errors import ConfigurationError, NothingToCertifyError
from usncli.gating import EVERY, Gate, GateResult, Limits, judge

PASSED, FAILED, INCONCLUSIVE = GateResult.PASSED, GateResult.FAILED, GateResult.INCONCLUSIVE


def result_of(verdicts: dict[str, list[Verdict]], limits: Limits) -> GateResult:
    gate = judge(run_record(verdicts), limits)
    assert gate is not None
    return gate.result


@pytest.mark.parametrize(
    ("verdicts", "limit", "result"),
    [
        ([C, C, F, F], 0.5, PASSED),
        ([C, F, F, F], 0.5, FAILED),
        ([C, U, F, F], 0.5, INCONCLUSIVE),
        ([C, U, F, F], 0.75, FAILED),
        ([C, C, C, U], 0.75, PASSED),
        ([C, M, M, M], 0.5, FAILED),
        ([C, E, F, F], 0.5, INCONCLUSIVE),
        ([C, C, C, E], 0.5, INCONCLUSIVE),
        ([C, C, C, E], 0.0, INCONCLUSIVE),
        ([C] * 7 + [F] * 93, 0.07, PASSED),
    ],
)
def test_the_certified_rate_of_one_perturbation(verdicts: list[Verdict], limit: float, result: GateResult) -> None:
    assert result_of({"brightness=0.1": verdicts}, Limits({EVERY: limit})) == result


def test_each_perturbation_has_its_limit_and_the_worst_counts() -> None:
    record = run_record({"brightness=0.1": [C, C, C, F], "brightness=0.2": [C, F, F, F], "contrast=0.1": [C, C, U, F]})
    gate = judge(record, Limits({EVERY: 0.75, "brightness": 0.5, "brightness=0.2": 0.25}))
    assert gate is not None
    assert [(check.perturbation, check.result) for check in gate.checks] == [
        ("brightness=0.1", PASSED),
        ("brightness=0.2", PASSED),
        ("contrast=0.1", INCONCLUSIVE),
    ]
    assert gate.result == INCONCLUSIVE
    assert "2 of 4 certified (50.0%), 1 unknown, 0 crashed; the limit is 75.0%" in gate.checks[2].message
    stricter = judge(record, Limits({EVERY: 0.75, "brightness": 0.5}))
    assert stricter is not None
    assert stricter.result == FAILED
    # a limit of one perturbation leaves the others without one
    assert result_of({"brightness=0.1": [C], "contrast=0.1": [F]}, Limits({"brightness": 1.0})) == PASSED


def test_a_limit_over_all_queries() -> None:
    verdicts = {"brightness=0.1": [C, C, C, C], "contrast=0.1": [C, F, F, F]}
    assert result_of(verdicts, Limits(overall=0.625)) == PASSED
    assert result_of(verdicts, Limits(overall=0.626)) == FAILED


@pytest.mark.parametrize(
    ("verdicts", "limit", "result"),
    [([C, U, F, F], 0.25, PASSED), ([C, U, E, F], 0.25, INCONCLUSIVE), ([C, F], 0.0, PASSED), ([U], 1.0, PASSED)],
)
def test_a_limit_on_unknowns_never_fails_but_may_not_pass(
    verdicts: list[Verdict], limit: float, result: GateResult
) -> None:
    assert result_of({"brightness=0.1": verdicts}, Limits(unknown=limit)) == result


def test_without_limits_there_is_no_gate_and_without_queries_no_verdict() -> None:
    assert judge(run_record({"brightness=0.1": [C]}), Limits()) is None
    with pytest.raises(NothingToCertifyError):
        judge(run_record({}), Limits({EVERY: 0.0}))


def test_a_limit_that_guards_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="gamma"):
        judge(run_record({"brightness=0.1": [C]}), Limits({"gamma": 0.5}))


@pytest.mark.parametrize(
    "values",
    [
        {"certified": {EVERY: 1.5}},
        {"certified": {"brightness": float("nan")}},
        {"overall": -0.1},
        {"unknown": 2.0},
        {"drop": float("nan")},
        {"significance": 0.0},
    ],
)
def test_limits_out_of_range(values: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        Limits(**values)  # type: ignore[arg-type]


def test_a_gate_survives_its_file() -> None:
    gate = judge(run_record({"brightness=0.1": [C, F]}), Limits({EVERY: 0.5}), today=date(2026, 1, 2))
    assert gate is not None
    assert Gate.from_record(json.loads(json.dumps(gate.to_record()))) == gate
    assert gate.lines[-1] == "gate passed: 1 of 1 checks passed"
    with pytest.raises(ValueError, match="opened"):
        Gate.from_record(gate.to_record() | {"checks": [gate.checks[0].to_record() | {"result": "opened"}]})
