"""Runs held against a baseline: the paired test, what does not compare, waivers, and files that are damaged."""

from __future__ import annotations

import itertools
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from gate_runs import C, E, F, U, identity, manifest, run_record

from usncli.certifying.verdicts import Verdict
from usncli.errors import ConfigurationError, InputError
from usncli.gating import (
    EVERY,
    Baseline,
    Gate,
    GateResult,
    Limits,
    Waiver,
    baseline_of,
    judge,
    mcnemar,
    read_baseline,
    write_baseline,
)

TODAY = date(2026, 11, 22)
LABEL = "brightness=0.1"


def held(
    before: list[Verdict], now: list[Verdict], waivers: tuple[Waiver, ...] = (), limits: Limits | None = None
) -> Gate:
    """Judge one perturbation's verdicts against those before."""
    baseline = baseline_of(run_record({LABEL: before}), manifest(), waivers)
    gate = judge(run_record({LABEL: now}), limits or Limits(), baseline, identity(), TODAY)
    assert gate is not None
    return gate


def test_the_paired_test_counts_every_way_in_which_coins_fall() -> None:
    for lost, gained in [(0, 0), (1, 0), (0, 3), (2, 1), (3, 3), (5, 0), (6, 2)]:
        coins = list(itertools.product((0, 1), repeat=lost + gained))
        assert mcnemar(lost, gained) == pytest.approx(sum(sum(coin) >= lost for coin in coins) / len(coins))
    assert 0 < mcnemar(5200, 4800) < 1e-4


def test_noise_does_not_fail_and_a_real_loss_does() -> None:
    noise = held([C] * 20 + [F] * 10, [F] * 4 + [C] * 16 + [C] * 2 + [F] * 8)
    assert noise.result == GateResult.PASSED
    assert "4 lost, 0 undecided now, 2 gained, p = 0.344" in noise.checks[0].message
    loss = held([C] * 20 + [F] * 10, [F] * 5 + [C] * 15 + [F] * 10)
    assert loss.result == GateResult.FAILED
    assert loss.checks[0].images == tuple(f"{number:03}.png" for number in range(5))
    assert loss.checks[0].message.endswith("; lost: 000.png, 001.png, 002.png, 003.png, 004.png")
    many = held([C] * 20, [F] * 12 + [C] * 8).checks[0].message
    assert many.endswith(", 008.png, 009.png and 2 more")
    assert held([C] * 20, [F] * 5 + [C] * 15, limits=Limits(drop=0.25)).result == GateResult.PASSED
    assert held([C] * 20, [F] * 5 + [C] * 15, limits=Limits(significance=0.03)).result == GateResult.PASSED


@pytest.mark.parametrize("undecided", [U, E])
def test_undecided_losses_keep_the_gate_from_passing_but_do_not_fail_it(undecided: Verdict) -> None:
    assert held([C] * 20, [undecided] * 5 + [C] * 15).result == GateResult.INCONCLUSIVE
    assert held([C] * 20, [F] * 5 + [undecided] * 3 + [C] * 12).result == GateResult.FAILED
    # what is open and was not certified before might be gained
    assert held([C] * 20 + [F] * 5, [F] * 5 + [C] * 15 + [undecided] * 5).result == GateResult.INCONCLUSIVE


def test_images_that_are_missing_count_as_undecided() -> None:
    gate = held([C] * 20, [C] * 10)
    assert gate.result == GateResult.INCONCLUSIVE
    assert "10 undecided now" in gate.checks[0].message
    assert held([C] * 10, [C] * 10 + [F] * 20).result == GateResult.PASSED  # new images are not in the baseline


def test_perturbations_that_only_one_of_both_has_do_not_pass() -> None:
    baseline = baseline_of(run_record({LABEL: [C], "contrast=0.1": [C]}), manifest())
    gate = judge(run_record({LABEL: [C], "gamma=0.1": [C]}), Limits(), baseline, identity(), TODAY)
    assert gate is not None
    assert {check.perturbation: check.result for check in gate.checks} == {
        LABEL: GateResult.PASSED,
        "gamma=0.1": GateResult.INCONCLUSIVE,
        "contrast=0.1": GateResult.INCONCLUSIVE,
    }


def test_another_question_does_not_compare_and_another_model_is_told() -> None:
    baseline = baseline_of(run_record({LABEL: [C]}), manifest())
    other = judge(run_record({LABEL: [C]}), Limits(), baseline, identity(tau=3.0), TODAY)
    assert other is not None
    assert other.result == GateResult.INCONCLUSIVE
    assert "tau was 2.0, is 3.0" in other.checks[0].message
    moved = judge(run_record({LABEL: [C]}), Limits(), baseline, identity(model="b" * 64, seconds=5), TODAY)
    assert moved is not None
    assert moved.result == GateResult.PASSED
    assert moved.notes == (
        "against the baseline, the model is another one",
        "against the baseline, seconds was 60, is 5",
    )
    nameless = judge(run_record({LABEL: [C]}), Limits(), baseline, None, TODAY)
    assert nameless is not None
    assert nameless.result == GateResult.INCONCLUSIVE


def waiver(image: str = "000.png", days: int = 1, **values: Any) -> Waiver:
    return Waiver(image=image, reason="glare, see ticket 7", expires=TODAY + timedelta(days=days), **values)


def test_a_waiver_takes_an_image_out_of_every_check_until_it_expires() -> None:
    strict, before, now = Limits({EVERY: 1.0}), [C] * 6, [F] + [C] * 5
    assert held(before, now, limits=strict).result == GateResult.FAILED
    gate = held(before, now, (waiver(days=0),), strict)
    assert gate.result == GateResult.PASSED
    assert "5 of 5 certified (100.0%), 0 unknown, 0 crashed, 1 waived" in gate.checks[0].message
    assert "5 of 5 were certified in the baseline; 0 lost" in gate.checks[1].message
    assert held(before, now, (waiver(perturbation="contrast=0.1"),), strict).result == GateResult.FAILED
    assert held([C], [F], (waiver(),), strict).result == GateResult.INCONCLUSIVE  # nothing is left to judge


def test_an_expired_waiver_fails_even_where_it_is_not_needed() -> None:
    gate = held([C] * 6, [C] * 6, (waiver(days=-1), waiver("001.png")))
    assert gate.result == GateResult.FAILED
    assert "1 of 2 waivers expired: 000.png (glare, see ticket 7) on 2026-11-21" in gate.checks[-1].message
    late = held([C] * 6, [F] + [C] * 5, (waiver(days=-1),), Limits({EVERY: 0.5}))
    assert "5 of 6 certified" in late.checks[0].message  # and it takes nothing out any more


def test_waivers_travel_with_the_gate() -> None:
    waivers = (waiver(days=-1), waiver("001.png", perturbation=LABEL))
    gate = held([C] * 6, [C] * 6, waivers)
    assert gate.waivers == waivers
    assert Gate.from_record(json.loads(json.dumps(gate.to_record()))) == gate


def test_waivers_that_do_nothing_are_named() -> None:
    gate = held([C], [C], (waiver(), waiver("lost.png")))
    assert gate.notes == (
        "the waiver of 000.png (glare, see ticket 7) is needed no more: certified",
        "the waiver of lost.png (glare, see ticket 7) is about no query of this run",
    )


def test_a_baseline_survives_its_file(tmp_path: Path) -> None:
    baseline = baseline_of(run_record({LABEL: [C, F, U]}), manifest(), (waiver(),))
    write_baseline(tmp_path / "b.json", baseline)
    assert read_baseline(tmp_path / "b.json") == baseline
    assert baseline.by_image(LABEL) == {"000.png": C, "001.png": F, "002.png": U}


def test_images_of_one_name_cannot_be_compared() -> None:
    record = run_record({LABEL: [C, F]}, names=("same.png", "same.png"))
    with pytest.raises(InputError, match=r"same\.png"):
        baseline_of(record, manifest())


def test_every_kind_of_damage_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    write_baseline(path, baseline_of(run_record({LABEL: [C, F]}), manifest(), (waiver(),)))
    text = path.read_text()
    whole = json.loads(text)
    damaged = [
        text[: len(text) // 2],
        "[]",
        text.replace("certified", "proved"),
        text.replace("usn-baseline", "baseline"),
        json.dumps(whole | {"schema_version": 2}),
        json.dumps(whole | {"verdicts": {LABEL: {"certified": ["a"], "falsified": ["a"]}}}),
        json.dumps(whole | {"waivers": [{"image": "a.png", "expires": "2027-01-01"}]}),
        json.dumps(whole | {"waivers": [{"image": "a.png", "reason": " ", "expires": "2027-01-01"}]}),
        json.dumps(whole | {"waivers": [{"image": "a.png", "reason": "x", "expires": "soon"}]}),
        json.dumps(whole | {"waiver": []}),
        json.dumps({name: value for name, value in whole.items() if name != "identity"}),
    ]
    for content in damaged:
        path.write_text(content)
        with pytest.raises(ConfigurationError, match=r"b\.json: expected") as caught:
            read_baseline(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="found none"):
        read_baseline(tmp_path / "none.json")
    assert Baseline.model_validate_json(text)  # what was damaged was whole
