from __future__ import annotations

import math
from dataclasses import replace

import pytest

from usncli.scoring.options import ScoreOptions
from usncli.scoring.record import GroupScore, ScoreRecord
from usncli.scoring.selection import Overlap
from usncli.scoring.stability import STABLE_SHARE, SampleLimit, limited_by


def sharing(share: float | None) -> Overlap | None:
    return None if share is None else Overlap(share / (2 - share), share)


@pytest.mark.parametrize(
    ("images", "thetas", "expected"),
    [
        (0.9, None, None),
        (STABLE_SHARE, STABLE_SHARE, None),
        (0.7, None, SampleLimit.IMAGES),
        (0.6, 0.7, SampleLimit.IMAGES),
        (0.7, 0.6, SampleLimit.THETAS),
        (0.9, 0.7, SampleLimit.THETAS),
        (0.7, 0.7, SampleLimit.IMAGES),
        (None, None, SampleLimit.IMAGES),
        (None, 1.0, SampleLimit.IMAGES),
    ],
)
def test_the_halves_that_agree_least_limit(
    images: float | None, thetas: float | None, expected: SampleLimit | None
) -> None:
    assert limited_by(sharing(images), sharing(thetas)) is expected


def record(images: float | None, cut: tuple[int, ...] = (1,)) -> ScoreRecord:
    group = GroupScore("a", ("a",), *[(0.1, 0.2)] * 4, *[(0.5, 0.4)] * 2, cut, ())
    return ScoreRecord("brightness=0.1", ScoreOptions(), 9, 8, math.nan, (group,), (), sharing(images), None)


def test_the_record_says_what_limits() -> None:
    assert record(0.5).to_record()["limited_by"] == "images"
    assert record(0.9).to_record()["limited_by"] is None
    drawn = replace(record(0.9), overlap_thetas=sharing(0.5))
    assert drawn.to_record()["limited_by"] == "thetas"


def test_an_empty_cut_set_is_not_unstable() -> None:
    assert record(None).limited_by is SampleLimit.IMAGES
    assert record(None, cut=()).limited_by is None
