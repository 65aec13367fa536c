"""Every image of a certification on its page: worst first, with what is known of it, within the room there is."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
import torch
from report_samples import HOSTILE, certify_record, compared_run, picture, queries, run_of

from usncli.certifying.verdicts import QueryRecord, Verdict
from usncli.gating import Waiver
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.gallery import OPEN_PICTURES, choose_images, image_groups, images_section, query_line
from usncli.reporting.image_data import encode
from usncli.reporting.page import MOST_CHARACTERS, room_for_images

PLENTY = 10**9


def run_with(found: tuple[QueryRecord, ...], **values: Any) -> FinishedRun:
    return FinishedRun("r", certify_record(found), **values)


def groups_of(run: FinishedRun, room: int = PLENTY) -> dict[str, list[str]]:
    groups = image_groups(run, 1, choose_images(run, room))
    return {group.title: [row.name for row in group.rows] for group in groups}


def test_images_are_grouped_by_their_worst_verdict() -> None:
    assert groups_of(run_with((*queries(), QueryRecord("0004.png", 3, "brightness=0.1", Verdict.CERTIFIED)))) == {
        "Crashed": ["images/0003.png"],
        "Wrong without any perturbation": ["images/0002.png"],
        "Falsified": ["images/0001.png"],
        "Certified under every range": ["0004.png"],
    }


def test_the_least_margin_comes_first_and_what_is_newly_lost_before_it() -> None:
    found = tuple(
        QueryRecord(name, index, "brightness=0.1", Verdict.FALSIFIED, margin)
        for index, (name, margin) in enumerate([("a", -0.1), ("b", -0.9), ("c", -0.5)])
    )
    assert groups_of(run_with(found)) == {"Falsified": ["b", "c", "a"]}
    waivers = (Waiver(image="002.png", reason="glare", expires=date(2026, 11, 22)),)
    run = compared_run(lost=("001.png", "002.png"), waivers=waivers)
    (failing, *_) = image_groups(run, 1, choose_images(run, PLENTY))
    assert [(row.name, row.marks) for row in failing.rows] == [("001.png", ("newly lost",)), ("002.png", ("waived",))]


def test_a_line_says_verdict_range_and_cost() -> None:
    assert query_line(certify_record()["queries"][1]) == (
        "falsified",
        "brightness=0.05,contrast=0.8:1.3",
        ("fails at brightness 0.0123, contrast 1.234",),
        "margin -0.125, 0.25 s",
    )
    certified = query_line(certify_record()["queries"][0])
    assert certified[:3] == ("certified", "brightness=0.1", ())
    searched = certify_record()["queries"][1] | {"certified_scale": 0.5, "falsified_scale": 0.525}
    assert query_line(searched).outcome == (
        "fails at brightness 0.0123, contrast 1.234",
        "certified up to brightness=-0.025:0.025,contrast=0.9:1.15 (50.0% of the range)",
    )


def test_a_counterexample_that_ranges_share_counts_once() -> None:
    found = tuple(
        QueryRecord("a", 0, label, Verdict.FALSIFIED, -0.1, witness=witness)
        for label, witness in [("brightness=0.1", (0.04,)), ("brightness=0.05", (0.04,)), ("contrast=0.2", (1.2,))]
    )
    text = images_section(run_with(found, pictures=(replace(picture("a"), theta="brightness 0.04"),)), 1, PLENTY).text
    assert "Counterexamples pictured: 1 of 2. Not shown: 1;" in text[0]


def test_rows_hold_thumbnail_and_counterexample() -> None:
    small = encode(torch.rand(1, 4, 4))
    shown = replace(picture(), perturbation="brightness=0.05,contrast=0.8:1.3")
    section = images_section(run_of("certify", pictures=(shown,), thumbnails={0: small}), 2, PLENTY)
    (html,) = section.blocks
    (row,) = re.findall(r'<li id="run-2-image-0">.*?</li>', html, flags=re.DOTALL)
    assert f'<img src="data:image/png;base64,{small}" alt="clean image">' in row
    assert "Counterexample: at brightness -0.08 a keypoint is off by 3.25 px (allowed: 1 px)" in row
    assert row.count("<svg") == 2
    assert html.count("<svg") == 2
    assert section.text == (
        "3 images by their worst verdict, the worst first. Counterexamples pictured: 1 of 1. Without a thumbnail: 2.",
    )


def test_pictures_beyond_the_first_are_folded() -> None:
    found = tuple(
        QueryRecord(f"{index}", index, "brightness=0.1", Verdict.FALSIFIED, -1.0) for index in range(OPEN_PICTURES + 3)
    )
    run = run_with(found, pictures=tuple(picture(f"{index}") for index in range(OPEN_PICTURES + 3)))
    (html,) = images_section(run, 1, PLENTY).blocks
    assert html.count('<details class="pairs" open>') == OPEN_PICTURES
    assert html.count('<details class="pairs">') == 3


@pytest.mark.parametrize("name", ["images/0001.png", HOSTILE])
def test_where_there_is_no_room_less_is_shown_and_said(name: str) -> None:
    found = tuple(
        QueryRecord(f"{name}{index}", index, "brightness=0.1", Verdict.FALSIFIED, witness=(-0.08,))
        for index in range(10)
    )
    pictures = tuple(picture(query.image) for query in found)
    thumbnail = encode(torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0)))
    run = run_with(found, pictures=pictures, thumbnails=dict.fromkeys(range(10), thumbnail))
    room = 4 * len(thumbnail) + 3 * pictures[0].size + 10
    shown = choose_images(run, room)
    assert len(shown.thumbnails) * len(thumbnail) + sum(one.size for one in shown.pictures) <= room
    section = images_section(run, 1, room)
    said = f"Counterexamples pictured: {len(shown.pictures)} of 10. Not shown: {10 - len(shown.pictures)};"
    assert said in section.text[0]
    assert f"Without a thumbnail: {10 - len(shown.thumbnails)}." in section.text[0]
    (html,) = section.blocks
    assert html.count("<img") == len(shown.thumbnails) > 0
    assert html.count('class="pairs"') == len(shown.pictures) > 0
    assert html.count("<li ") == 10
    assert "<script>" not in html
    assert not choose_images(run, 0).pictures


def test_runs_of_a_page_share_its_room() -> None:
    run = run_of("certify")
    assert room_for_images([run, run]) == pytest.approx(room_for_images([run]) / 2, rel=0.01)
    assert 0.8 * MOST_CHARACTERS < room_for_images([run]) < MOST_CHARACTERS
