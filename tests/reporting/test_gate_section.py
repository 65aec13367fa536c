"""The gate on a page: what was lost comes first and leads to its row, every check is there, waivers say until when."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

from report_samples import HOSTILE, compared_run, judged_run, run_of

from usncli.gating import Waiver
from usncli.reporting.document import render
from usncli.reporting.gate_section import MOST_LOST, SHOWN_LOST, LostImage, gate_section, lost_images, waived_images
from usncli.reporting.page import page_of


def html_of(run: object, number: int = 1) -> str:
    section = gate_section(run, number)  # type: ignore[arg-type]
    assert section is not None
    return "".join(section.blocks)


def test_without_a_limit_there_is_no_gate() -> None:
    assert gate_section(run_of("certify"), 1) is None
    assert lost_images(run_of("certify")) == ()


def test_lost_images_come_first_and_lead_to_their_rows() -> None:
    run = compared_run(lost=("001.png", "004.png"))
    html = html_of(run, 3)
    assert html.index("Newly lost against the baseline (2)") < html.index("Checks")
    assert re.findall(r'<a href="#([^"]*)">([^<]*)</a>', html) == [
        ("run-3-image-1", "001.png"),
        ("run-3-image-4", "004.png"),
    ]
    assert "falsified under brightness=0.1" in html
    page = render(page_of([run]))
    for place in ("run-1-image-1", "run-1-image-4"):
        assert page.count(f'href="#{place}"') == 1
        assert page.count(f'id="{place}"') == 1


def test_an_image_that_is_missing_has_no_row_to_lead_to() -> None:
    html = html_of(compared_run(missing=("gone.png",)))
    assert "gone.png <span>not in this run under brightness=0.1</span>" in html
    assert "<a " not in html


def test_nothing_lost_is_said() -> None:
    assert "No image that the baseline certified is lost." in html_of(compared_run())
    without_baseline = html_of(judged_run("r", run_of("certify").record, 0.5))
    assert "lost" not in without_baseline


def test_checks_that_failed_come_first() -> None:
    run = compared_run(lost=tuple(f"{index:03}.png" for index in range(6)), limit=0.1)
    rows = re.findall(r'<b class="result (\w+)">\w+</b>: ([^<]*)', html_of(run))
    assert rows == [("failed", "drop"), ("passed", "certified rate")]
    assert "6 lost" in html_of(run)
    section = gate_section(run, 1)
    assert section is not None
    assert section.text == ("gate failed: 1 of 2 checks passed",)


def test_many_lost_images_are_counted() -> None:
    html = html_of(compared_run(lost=tuple(f"{index:03}.png" for index in range(MOST_LOST + 7)), images=300))
    assert f"({MOST_LOST + 7})" in html
    assert html.count("<li>") == MOST_LOST
    assert html.index("<details>") < html.index(f"{MOST_LOST - SHOWN_LOST} more") < html.index(f"{SHOWN_LOST:03}.png")
    assert "And 7 that are not listed" in html


def test_waivers_tell_reason_and_day() -> None:
    waivers = (
        Waiver(image="001.png", reason="glare, ticket 7", expires=date(2026, 11, 22)),
        Waiver(image=HOSTILE, perturbation="brightness=0.1", reason="<i>", expires=date(2026, 11, 21)),
    )
    run = compared_run(waivers=waivers)
    html = html_of(run)
    first = '<br><span>every range</span></td><td>glare, ticket 7</td><td class="day">2026-11-22</td>'
    assert f'<a href="#run-1-image-1">001.png</a>{first}' in html
    assert '<td class="day">2026-11-21<br><b class="result failed">expired</b></td>' in html
    assert "<script>" not in html
    assert "<i>" not in html
    assert waived_images(run.gate) == {"001.png"}


def test_the_headline_leaves_the_checks_to_the_table() -> None:
    page = page_of([compared_run(lost=("001.png",), limit=0.1)])
    assert page.headline.details == ("gate passed: 2 of 2 checks passed", "what certified claims")
    assert page.sections[0].title == "Gate: candidate"
    closed = page_of([compared_run(lost=("001.png",), limit=0.9)])
    assert closed.headline.details == (
        "gate failed: 1 of 2 checks passed",
        "failed: certified rate, brightness=0.1: 7 of 8 certified (87.5%), 0 unknown, 0 crashed; the limit is 90.0%",
        "what certified claims",
    )


def test_an_image_lost_under_several_ranges_is_one_entry() -> None:
    run = compared_run(lost=("001.png",))
    assert run.gate is not None
    other = replace(run.gate.checks[0], perturbation="contrast=0.1")
    twice = replace(run, gate=replace(run.gate, checks=(*run.gate.checks, other)))
    outcomes = ("falsified under brightness=0.1", "not in this run under contrast=0.1")
    assert lost_images(twice) == (LostImage("001.png", outcomes),)
    again = replace(run, gate=replace(run.gate, checks=run.gate.checks * 2))
    assert lost_images(again)[0].outcomes == ("falsified under brightness=0.1, brightness=0.1",)
