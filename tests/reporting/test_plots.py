"""Plots are themed SVG, say their numbers, and survive any name."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import matplotlib
import pytest
from report_samples import HOSTILE

from usncli.reporting.figure import Figure
from usncli.reporting.layer_plots import channels_by_group, importance_histogram, unstable_by_layer
from usncli.reporting.plots import certified_rates, compared_numbers, times_sorted, training_history, verdict_counts
from usncli.reporting.rate_plot import rate_against_eps
from usncli.reporting.rates import Rate, RateCurve, Step

POINTS = RateCurve("brightness", "eps: brightness", (Step(0.02, Rate(18, 20)), Step(0.05, Rate(11, 20))))
CURVE = RateCurve(
    "brightness",
    "eps: brightness",
    (Step(0.1, Rate(5, 20)),),
    (Step(0.0, Rate(20, 20)), Step(0.04, Rate(19, 20)), Step(0.1, Rate(5, 20))),
    (Step(0.0, Rate(20, 20)), Step(0.08, Rate(12, 20)), Step(0.1, Rate(12, 20))),
)
FIGURES = {
    "histogram": lambda name: importance_histogram([0.9, 0.5, 0.5], [0.1]),
    "channels": lambda name: channels_by_group([name, "b"], [16, 8], [12, 8]),
    "history": lambda name: training_history([1, 2, 3], {name: [3.0, 2.0, 1.0], "rho": [None, 0.1, 0.2]}),
    "rates": lambda name: certified_rates([name, "usn"], {name: [Rate(3, 20), Rate(17, 20)]}),
    "numbers": lambda name: compared_numbers("Time", "seconds", [name, "usn"], {name: [1.25, None]}),
    "verdicts": lambda name: verdict_counts({name: {"certified": 11, "unknown": 2}}),
    "unstable": lambda name: unstable_by_layer({name: 4000, "b": 10}, {name: {name: 120.4, "b": 0.43}}),
    "points": lambda name: rate_against_eps({name: POINTS, "usn": POINTS}),
    "curve": lambda name: rate_against_eps({name: CURVE, "usn": CURVE}),
    "times": lambda name: times_sorted({name: [0.5, 1.0, 20.0], "b": [0.25]}),
}


def texts(figure: Figure) -> str:
    return " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", figure.markup))


@pytest.mark.parametrize("name", FIGURES)
def test_drawing_is_well_formed_and_themed(name: str) -> None:
    figure = FIGURES[name]("plain")
    root = ElementTree.fromstring(figure.markup.replace("xlink:href", "href"))
    assert root.tag == "svg"
    assert root.get("viewBox")
    assert "http" not in figure.markup
    colours = set(re.findall(r"#[0-9a-f]{6}\b", re.sub(r'(?:href|id|url)[=(]"?#?\w+', "", figure.markup)))
    assert not colours, "every colour follows the theme"
    assert re.search(r"var\(--(series-1|good)\)", figure.markup)


@pytest.mark.parametrize("name", [name for name in FIGURES if name != "histogram"])
def test_hostile_names_are_drawn_as_they_stand(name: str) -> None:
    figure = FIGURES[name](HOSTILE)
    ElementTree.fromstring(figure.markup.replace("xlink:href", "href"))
    assert "<script" not in figure.markup
    assert "frac{" in texts(figure)
    assert "\x1b" not in figure.markup


def test_numbers_stand_beside_the_bars_and_in_the_description() -> None:
    rates = FIGURES["rates"]("dense")
    assert "3/20" in texts(rates)
    assert "17/20" in texts(rates)
    assert rates.description == "Certified images. dense: dense 3/20, usn 17/20."
    assert "11/13" in texts(FIGURES["verdicts"]("b"))
    assert "b: 11 certified, 2 unknown" in FIGURES["verdicts"]("b").description
    assert "-4" in texts(FIGURES["channels"]("a"))
    assert "120 of 4,000" in texts(FIGURES["unstable"]("a"))
    assert "0.4 of 10" in texts(FIGURES["unstable"]("a"))
    assert "a: 120 of 4,000 under a" in FIGURES["unstable"]("a").description


def test_curves_tell_rates_with_their_intervals() -> None:
    points = rate_against_eps({"only": POINTS})
    assert points.description == (
        "eps: brightness. Certified 18/20 up to 0.02 (68.3-98.8%), 11/20 up to 0.05 (31.5-77.0%)."
    )
    assert "Clopper-Pearson" in points.note
    curve = FIGURES["curve"]("dense")
    assert "dense: certified 19/20 up to 0.04 (75.1-99.9%), 5/20 up to 0.1 (8.6-49.2%)" in curve.description
    assert "dense: not falsified" in texts(curve)
    assert curve.note.startswith("Band: 95% Clopper-Pearson interval")
    assert "neither proved nor refuted" in curve.note
    assert rate_against_eps({"dense": POINTS, "usn": CURVE}).note.startswith("Band and bars:")


def test_channels_cut_by_an_earlier_run_are_told_apart() -> None:
    shown = channels_by_group(["a", "b"], [16, 8], [10, 8], [4, 0])
    assert "-2" in texts(shown)
    assert "cut by an earlier run" in texts(shown)
    assert shown.description == "Channels kept. a: 10 of 16 (4 cut earlier); b: 8 of 8."


def test_importance_of_unknown_fate_is_shown_as_such() -> None:
    shown = importance_histogram([0.9, 2.5], [0.1], [0.4, 0.5])
    assert "cut or kept, not recorded (2)" in texts(shown)
    assert shown.description == (
        "Histogram of the importance of 5 channels: cut (1), kept (2), cut or kept, not recorded (2)."
    )


def test_same_numbers_same_drawing_and_no_global_state() -> None:
    before = dict(matplotlib.rcParams)
    assert FIGURES["times"]("a").markup == FIGURES["times"]("a").markup
    assert dict(matplotlib.rcParams) == before


def test_extremes_are_drawn() -> None:
    importance_histogram([], [])
    training_history([1], {"loss": [None]})
    times_sorted({"a": [0.0]})
    channels_by_group([f"layer{index}" for index in range(60)], [8] * 60, [4] * 60)
    assert Rate(0, 0).share == 0.0
