"""Plots are themed SVG, say their numbers, and survive any name."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import matplotlib
import pytest
from report_samples import HOSTILE

from usncli.reporting.figure import Figure
from usncli.reporting.plots import (
    Rate,
    certified_rates,
    channels_by_group,
    compared_numbers,
    importance_histogram,
    times_sorted,
    training_history,
    verdict_counts,
)

FIGURES = {
    "histogram": lambda name: importance_histogram([0.9, 0.5, 0.5], [0.1]),
    "channels": lambda name: channels_by_group([name, "b"], [16, 8], [12, 8]),
    "history": lambda name: training_history([1, 2, 3], {name: [3.0, 2.0, 1.0], "rho": [None, 0.1, 0.2]}),
    "rates": lambda name: certified_rates([name, "usn"], {name: [Rate(3, 20), Rate(17, 20)]}),
    "numbers": lambda name: compared_numbers("Time", "seconds", [name, "usn"], {name: [1.25, None]}),
    "verdicts": lambda name: verdict_counts({name: {"certified": 11, "unknown": 2}}),
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
