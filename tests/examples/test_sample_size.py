"""The study of sample sizes: subsets of kept sums, comparisons with the reference, and the tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import pytest
import torch

from tests.scoring import small_networks
from tests.scoring.test_score import BRIGHTNESS, Images, numbers, pipeline
from usncli.loading.batching import subset
from usncli.scoring.options import ScoreOptions
from usncli.scoring.score import score_network


@pytest.fixture
def study(load_study: Callable[[str], ModuleType]) -> ModuleType:
    return load_study("sample_size")


def scorer(study: ModuleType):
    torch.manual_seed(1)
    return study.Scorer(pipeline(small_networks.depthwise_separable()), Images(40), BRIGHTNESS)


def test_sums_of_chosen_images_are_those_of_scoring_them(study: ModuleType) -> None:
    own, options, chosen = scorer(study), ScoreOptions(samples=3), torch.tensor([37, 2, 11, 20, 5])
    part = study.on_images(own.estimates(options, 40), chosen)
    alone = score_network(own.pipeline, subset(own.data, chosen.tolist()), BRIGHTNESS, options)
    torch.testing.assert_close(part.instability(part.terms()), numbers(alone), rtol=1e-5, atol=0)
    assert part.overlap_images(5) == alone.overlap_images


def test_an_estimate_is_compared_with_the_reference(study: ModuleType) -> None:
    own = scorer(study)
    exact = own.estimates(ScoreOptions(samples=6), 40)
    same = study.compare(exact, exact, seed=0)
    assert (same.error, same.rank, same.share, same.theta_halves) == (0, pytest.approx(1), 1, None)
    drawn = study.compare(own.estimates(ScoreOptions(samples=4, method="monte-carlo"), 40), exact, seed=0)
    assert 0 < drawn.error < 0.5
    assert 0 < drawn.rank <= 1
    assert drawn.theta_halves is not None


def test_tables_stand_between_the_markers_and_words_stay(
    study: ModuleType, load_study: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    rows = [
        study.Row("quadrature", 8, images, 0, 0.25, 0.5, share, halves, None)
        for images, share, halves in ((4, 0.75, 0.55), (8, 0.875, 0.58), (16, 1.0, 0.9))
    ]
    for part in ("thetas", "images"):
        head = {"subject": "s", "range": "brightness=0.1", "part": part}
        study.write_record(tmp_path / "records" / f"{part}.json", head, rows)
    written = json.loads((tmp_path / "records" / "images.json").read_text())
    assert written == {**head, "rows": [asdict(row) for row in rows]}
    tables = load_study("sample_tables")
    path = tables.write_sample_size(tmp_path / "records", tmp_path)
    path.write_text(f"before\n{path.read_text()}after\n")
    text = tables.write_sample_size(tmp_path / "records", tmp_path).read_text()
    assert text.startswith("before\n# Sample size")
    assert text.endswith("after\n")
    assert text.count("| 8 | 25.00%, 0.5000, 87.5% | 58.0% |") == 1
    assert "| 50% to 60% | 2 | 81.2% | 75.0% |" in text
    assert "| 90% to 100% |" not in text, "all images are no subset"
    assert (tmp_path / "sample-size.png").stat().st_size > 1000
