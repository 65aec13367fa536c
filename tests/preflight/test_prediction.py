"""The arithmetic from a pilot to what all images take, on pilots that are made up."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

import pytest

from usncli.bounding.method import Engine
from usncli.certifying import CertifyOptions, Verdict
from usncli.certifying.certify import OUT_OF_TIME
from usncli.certifying.verdicts import QueryRecord
from usncli.preflight.pilot import Pilot, pilot_images
from usncli.preflight.prediction import ALONE, MACHINE, Span, cost, predict

OWN = CertifyOptions(seconds=60.0, engine=Engine.USN)
AUTO = CertifyOptions(seconds=60.0)
CAP = 4.0


def query(seconds: float, verdict: Verdict = Verdict.CERTIFIED, **more: object) -> QueryRecord:
    record = QueryRecord("image", 0, "brightness=0.1", verdict, seconds=seconds)
    return replace(record, **more)


def pilot(*queries: QueryRecord, **more: object) -> Pilot:
    return replace(Pilot(queries, len(queries), CAP), **more)


@pytest.mark.parametrize("verdict", [Verdict.CERTIFIED, Verdict.FALSIFIED, Verdict.MISCLASSIFIED, Verdict.ERROR])
def test_what_was_decided_takes_what_it_took(verdict: Verdict) -> None:
    assert cost(query(1.5, verdict), CAP, AUTO) == Span(1.5, 1.5, 1.5)
    assert cost(query(4.5, verdict), CAP, AUTO) == Span(4.5, 4.5, 4.5)  # its last batch went beyond the cap


def test_what_proved_nothing_within_the_cap_takes_the_whole_budget() -> None:
    assert cost(query(4.1, Verdict.UNKNOWN), CAP, OWN) == Span(4.1, 60.0, 60.0)


def test_what_looks_for_the_largest_range_goes_on_once_it_is_falsified() -> None:
    assert cost(query(4.1, Verdict.FALSIFIED, falsified_scale=0.5), CAP, OWN) == Span(4.1, 60.0, 60.0)
    assert cost(query(3.1, Verdict.FALSIFIED, falsified_scale=0.5), CAP, OWN) == Span(3.1, 3.1, 3.1)


def test_what_proved_a_part_within_the_cap_goes_on_like_that() -> None:
    open_query = query(4.0, Verdict.UNKNOWN, certified_fraction=0.4)
    assert cost(open_query, CAP, OWN) == Span(4.0, 10.0, 10 * ALONE)
    assert cost(open_query, CAP, replace(OWN, seconds=8.0)) == Span(4.0, 8.0, 8.0)
    # Our own engine gets three quarters of the budget before auto_LiRPA takes over.
    almost = query(4.0, Verdict.UNKNOWN, certified_fraction=0.08)
    assert cost(almost, CAP, OWN).middle == 50.0
    assert cost(almost, CAP, AUTO).middle == 60.0


def test_what_gave_up_early_costs_more_only_where_another_engine_takes_over() -> None:
    stuck = query(1.0, Verdict.UNKNOWN, certified_fraction=0.9)
    assert cost(stuck, CAP, OWN) == Span(1.0, 1.0, 1.0)
    assert cost(stuck, CAP, AUTO) == Span(1.0, 60.0, 60.0)


def test_a_second_opinion_may_take_as_long_again() -> None:
    assert cost(query(4.0, Verdict.UNKNOWN), CAP, replace(OWN, second_opinion=True)).high == 120.0


def test_the_mean_of_the_pilot_times_all_images() -> None:
    seconds = (1.0, 2.0, 3.0)
    found = predict(pilot(*map(query, seconds)), ["brightness=0.1"], 100, OWN)
    (item,) = found.ranges
    assert (item.images, item.open) == (3, 0)
    factor = MACHINE + 2 * statistics.stdev(seconds) / math.sqrt(3) / 2
    assert item.seconds == pytest.approx((2 / factor, 2, 2 * factor))
    assert found.seconds == pytest.approx((200 / factor, 200, 200 * factor))


def test_one_image_says_less_than_two() -> None:
    (alone,) = predict(pilot(query(2.0)), ["brightness=0.1"], 10, OWN).ranges
    assert alone.seconds == pytest.approx((2 / ALONE, 2, 2 * ALONE))
    (two,) = predict(pilot(query(2.0), query(2.0)), ["brightness=0.1"], 10, OWN).ranges
    assert two.seconds == pytest.approx((2 / MACHINE, 2, 2 * MACHINE))


def test_no_image_takes_more_than_its_budget() -> None:
    (item,) = predict(pilot(query(4.0, Verdict.UNKNOWN)), ["brightness=0.1"], 10, OWN).ranges
    assert item.open == 1
    assert item.total.middle == item.total.high == 600.0


def test_a_query_that_the_pilots_end_cut_off_takes_as_long_as_those_that_took_longer() -> None:
    cut_off = query(2.0, Verdict.UNKNOWN, message=OUT_OF_TIME, certified_fraction=0.5)
    (item,) = predict(pilot(query(1.0), query(3.0), query(3.5), cut_off), ["brightness=0.1"], 1, OWN).ranges
    assert item.seconds.middle == pytest.approx((1 + 3 + 3.5 + 3.25) / 4)
    # Where none took longer, its own proved share says how long.
    (item,) = predict(pilot(query(1.0), cut_off), ["brightness=0.1"], 1, OWN).ranges
    assert item.seconds.middle == pytest.approx((1 + 4) / 2)
    # Where it had proved next to nothing yet, the others say how much longer; alone it has to count in full.
    nothing = replace(cut_off, certified_fraction=0.01)
    (item,) = predict(pilot(query(1.0), nothing), ["brightness=0.1"], 1, OWN).ranges
    assert item.seconds.middle == pytest.approx((1 + 3) / 2)
    assert item.seconds.high == 60.0
    (item,) = predict(pilot(replace(nothing, certified_fraction=0.0)), ["brightness=0.1"], 1, OWN).ranges
    assert item.seconds.middle == 60.0


def test_queries_that_never_began_say_nothing() -> None:
    never = query(0.0, Verdict.UNKNOWN, message=OUT_OF_TIME)
    (item,) = predict(pilot(query(2.0), never, never), ["brightness=0.1"], 10, OWN).ranges
    assert (item.images, item.seconds.middle) == (1, 2.0)
    (item,) = predict(pilot(never), ["brightness=0.1"], 10, OWN).ranges
    assert (item.images, item.seconds) == (0, Span(0.0, 60.0, 60.0))


def test_queries_cut_off_before_any_was_answered_say_nothing() -> None:
    begun = query(0.9, Verdict.UNKNOWN, message=OUT_OF_TIME)
    (item,) = predict(pilot(query(1.0), begun, begun), ["brightness=0.1"], 10, OWN).ranges
    assert (item.images, item.open) == (1, 0)
    assert item.seconds == pytest.approx((1 / ALONE, 1, ALONE))


def test_ranges_add_up_with_what_is_done_once() -> None:
    other = replace(query(3.0), perturbation="contrast=0.1")
    made = pilot(query(1.0), other, setup=2.0, counting=0.5)
    found = predict(made, ["brightness=0.1", "contrast=0.1"], 10, replace(OWN, unstable_images=3))
    assert found.rest.middle == 2.0 + 0.5 * 3 * 2
    assert found.seconds.middle == pytest.approx(10 * 1.0 + 10 * 3.0 + 5.0)


def test_the_budget_of_the_run_is_a_limit() -> None:
    found = predict(pilot(query(2.0), setup=1.0), ["brightness=0.1"], 100, replace(OWN, run_seconds=30.0))
    assert found.seconds.middle == 31.0


def test_memory_may_grow_by_what_the_other_engine_may_take() -> None:
    decided = predict(pilot(query(2.0), memory=3_000_000_000), ["brightness=0.1"], 10, AUTO)
    assert decided.memory == pytest.approx((2e9, 3e9, 4.5e9))
    assert decided.device_memory is None
    unknown = pilot(query(4.0, Verdict.UNKNOWN), memory=3_000_000_000)
    assert predict(unknown, ["brightness=0.1"], 10, AUTO).memory == pytest.approx((2e9, 3e9, 6.5e9))
    assert predict(unknown, ["brightness=0.1"], 10, OWN).memory == pytest.approx((2e9, 3e9, 4.5e9))
    assert predict(pilot(query(2.0)), ["brightness=0.1"], 10, OWN).memory is None


def test_a_pilots_images_are_spread_over_the_data_however_few_are_reached() -> None:
    assert pilot_images(800) == [0, 400, 200, 600, 100, 500, 300, 700]
    assert pilot_images(3) == [0, 2, 1]
    assert pilot_images(1) == [0]
    assert sorted(pilot_images(6)) == list(range(6))
