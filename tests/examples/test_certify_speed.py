"""The benchmark of certification: its comparison's parts, and a run of the whole at tiny settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from usncli import zoo
from usncli.bounding.rows import Rows
from usncli.certifying.falsify import Target
from usncli.certifying.properties import KeypointProperty
from usncli.certifying.verdicts import Verdict
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Preprocessing
from usncli.perturbing import Boxes, parse_range
from usncli.types import Task

FOLDER = Path(__file__).parents[2] / "examples" / "benchmarks"


class PoolAndSkip(nn.Module):
    """An overlapping max pool, a sum, a transposed convolution and a mean: what auto_LiRPA needs help with."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3), nn.ReLU())
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.up = nn.ConvTranspose2d(3, 3, 2, 2)
        self.last = nn.Linear(3, 4)

    def forward(self, images: Tensor) -> Tensor:
        features = self.first(images)
        return self.last(torch.relu(self.up(self.pool(features)) + features).mean(dim=(2, 3)))


@pytest.mark.parametrize(
    ("text", "clip"), [("brightness=0.2", True), ("contrast=0.3", False), ("brightness=0.1,contrast=0.2", True)]
)
def test_stock_bounds_hold_for_the_network_that_ships(load: Callable[[str], Any], text: str, clip: bool) -> None:
    stock = load("stock_lirpa")
    torch.manual_seed(0)
    network, image, region = PoolAndSkip().eval(), torch.rand(1, 8, 8), parse_range(text, clip=clip)
    mean, std = torch.full((1, 1, 1, 1), 0.3), torch.full((1, 1, 1, 1), 0.5)
    plain = stock.in_plain_layers(network, image.unsqueeze(0))
    perturbed = stock.PerturbedNetwork(plain, image, region, mean, std)
    lower, upper = region.corners()
    theta = lower + torch.rand(200, region.dimension, dtype=torch.float64) * (upper - lower)
    with torch.no_grad():
        values = network((region.perturbation.expand(image.unsqueeze(0), theta.float()) - mean) / std)
        torch.testing.assert_close(perturbed(theta.float()), values, atol=1e-5, rtol=1e-5)
    middle = (lower + upper) / 2
    boxes = Boxes(torch.stack([lower, middle - 1e-4]), torch.stack([upper, middle + 1e-4]))
    index = torch.arange(4)
    coefficients = torch.stack([torch.tensor([1.0, -1.0, 1.0, -1.0]), torch.zeros(4)], dim=1)
    rows = Rows(torch.stack([index, index], dim=1).repeat(2, 1, 1), coefficients.repeat(2, 1, 1), torch.ones(2, 4))
    bounds = stock.StockBounds(perturbed, region.dimension).lower(boxes, rows)
    least = (values * coefficients[:, 0] + 1).amin(dim=0)
    assert bool((bounds[0] <= least + 1e-5).all())
    at_middle = rows.values(perturbed(boxes.centres().float()))[1]
    assert float((at_middle - bounds[1]).detach().abs().max()) < 0.01


class Still(nn.Module):
    """Predicts the mean pixel, as x and y of one keypoint."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(1, 2, 3)).unsqueeze(1).expand(-1, 2)


@pytest.fixture
def asked(load: Callable[[str], Any]) -> Callable[..., Any]:
    """Return a function that makes a query over brightness 0.1 of an engine that proves pieces of a certain width."""

    def make(width: float, tau: float = 100.0, limit: float = 60.0, text: str = "brightness=0.1") -> Any:
        pipeline = Pipeline(Still(), Preprocessing(8, 8), Task.KEYPOINTS).eval()
        claim = KeypointProperty(pipeline(torch.full((1, 3, 8, 8), 0.5))[0].double(), torch.tensor([True]), tau)
        target = Target(pipeline, torch.full((1, 3, 8, 8), 0.5), parse_range(text), claim)

        def least(boxes: Boxes) -> Tensor:
            return width - (boxes.upper - boxes.lower).amax(dim=1)

        return load("cutting").Asked(target, least, 4, limit)

    return make


def test_bisection_needs_the_pieces_of_a_full_tree(load: Callable[[str], Any], asked: Callable[..., Any]) -> None:
    answer = load("cutting").bisect(asked(0.2 / 8 + 1e-6))
    assert (answer.verdict, answer.pieces) == (Verdict.CERTIFIED, 1 + 2 + 4 + 8)


def test_uniform_cutting_finds_the_fewest_pieces_of_its_ladder(
    load: Callable[[str], Any], asked: Callable[..., Any]
) -> None:
    answer = load("cutting").cut_uniformly(asked(0.2 / 8 + 1e-6))
    assert (answer.verdict, answer.pieces) == (Verdict.CERTIFIED, 8)
    both = load("cutting").cut_uniformly(asked(0.2 / 3 + 1e-6, text="brightness=0.1,contrast=0.1"))
    assert (both.verdict, both.pieces) == (Verdict.CERTIFIED, 9)


@pytest.mark.parametrize("strategy", ["bisect", "cut_uniformly"])
def test_a_limit_leaves_a_query_unknown_with_its_time(
    load: Callable[[str], Any], asked: Callable[..., Any], strategy: str
) -> None:
    answer = getattr(load("cutting"), strategy)(asked(0.0, limit=0.02))
    assert answer.verdict == Verdict.UNKNOWN
    assert answer.seconds >= 0.02


@pytest.mark.parametrize("strategy", ["bisect", "cut_uniformly"])
def test_what_fails_in_the_middle_of_a_piece_is_falsified(
    load: Callable[[str], Any], asked: Callable[..., Any], strategy: str
) -> None:
    shifted = asked(0.0, tau=0.05, limit=5.0)
    assert getattr(load("cutting"), strategy)(shifted).verdict == Verdict.FALSIFIED


def test_a_ratio_is_of_queries_that_nobody_falsifies(load: Callable[[str], Any]) -> None:
    speed = load("certify_speed")

    def queries(*given: tuple[Verdict, float]) -> list[Any]:
        return [speed.Timed(image, verdict, 1, seconds, 1.0) for image, (verdict, seconds) in enumerate(given)]

    ours = queries((Verdict.CERTIFIED, 1.0), (Verdict.FALSIFIED, 0.1), (Verdict.CERTIFIED, 1.0))
    uniform = queries((Verdict.CERTIFIED, 20.0), (Verdict.UNKNOWN, 60.0), (Verdict.UNKNOWN, 60.0))
    bisection = queries((Verdict.CERTIFIED, 30.0), (Verdict.UNKNOWN, 60.0), (Verdict.FALSIFIED, 30.0))
    row = speed.Row("", "", 1.0, 1.0, {"usn": ours, "uniform": uniform, "bisection": bisection})
    assert row.ratio == 20.0
    assert row.conflicts == 1


def test_the_benchmark_runs(
    load: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    subjects, speed = load("subjects"), load("certify_speed")
    preprocessing = Preprocessing(16, 16, mean=(0.45,), std=(0.25,))

    def tiny(source: Any) -> Any:
        network = subjects.trained(
            "tiny", lambda: zoo.cnn7(size=16, width=0.25), lambda network, steps: None, source, 1
        )
        return subjects.subject("tiny", network, zoo.aircraft(2, 16, seed=1), preprocessing, 2.0)

    monkeypatch.setattr(speed, "SUBJECTS", {"tiny": tiny})
    out = tmp_path / "rows.jsonl"
    given = ["--networks", "tiny", "--perturb", "brightness=0.01", "--images", "1", "--limit", "20"]
    (row,) = speed.main([*given, "--cache", str(tmp_path / "cache"), "--out", str(out)])
    assert {name: [query.verdict for query in queries] for name, queries in row.strategies.items()} == {
        "usn": [Verdict.CERTIFIED],
        "uniform": [Verdict.CERTIFIED],
        "bisection": [Verdict.CERTIFIED],
    }
    assert row.ratio > 0
    assert f"ratio {row.ratio:.1f}" in capsys.readouterr().out
    assert json.loads(out.read_text())["strategies"]["usn"][0]["verdict"] == "certified"
    assert list((tmp_path / "cache").iterdir())
    (other,) = speed.main([*given, "--cache", str(tmp_path / "cache"), "--against", "lirpa"])
    assert {name: queries[0].verdict for name, queries in other.strategies.items()} == {
        "usn": Verdict.CERTIFIED,
        "lirpa": Verdict.CERTIFIED,
    }
    assert (other.conflicts, other.strategies["usn"][0].pieces) == (0, row.strategies["usn"][0].pieces)
