"""How large a page of 500 images is, whatever they show."""

from __future__ import annotations

import pytest
from showcase import RANGES, showcase_run

from usncli.reporting.counterexamples import ALL_PICTURES, ALL_THUMBNAILS, THUMBNAIL_BYTES
from usncli.reporting.document import render
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.page import page_of

IMAGES, LIMIT = 500, 5_000_000
MANY_RANGES = tuple(f"brightness={0.005 * step:g}" for step in range(1, 9))


def page(*runs: FinishedRun) -> str:
    return render(page_of(runs))


def test_500_images_of_noise_stay_below_5_mb_with_every_thumbnail() -> None:
    run = showcase_run(IMAGES, side=224)
    html = page(run)
    assert len(html.encode()) < LIMIT
    assert html.count('alt="clean image"') == IMAGES
    kept = sum(picture.size for picture in run.pictures)
    pictured = html.count('class="pairs"')
    assert pictured >= min(len(run.pictures), int(len(run.pictures) * ALL_PICTURES / kept))
    assert pictured > 20
    assert "Not shown:" in html


def test_what_a_run_keeps_has_room_on_its_page() -> None:
    assert 4 * (THUMBNAIL_BYTES + 2) / 3 * IMAGES <= ALL_THUMBNAILS
    run = showcase_run(IMAGES)
    assert sum(map(len, run.thumbnails.values())) <= ALL_THUMBNAILS


@pytest.mark.parametrize(
    "runs",
    [lambda: [showcase_run(IMAGES, MANY_RANGES, 224)], lambda: [showcase_run(IMAGES, RANGES, 224)] * 3],
    ids=["eight ranges", "three runs"],
)
def test_more_ranges_or_runs_leave_less_room_for_images(runs: object) -> None:
    html = page(*runs())  # type: ignore[operator]
    assert len(html.encode()) < LIMIT
    assert html.count('alt="clean image"') > IMAGES / 2
    assert html.count('class="pairs"') > 5
