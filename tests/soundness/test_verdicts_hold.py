"""Verdicts against networks whose critical theta is known exactly, and certified ranges against 2,000 samples."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_pipelines import Data, grey_pipeline, linear_of_pixels, one_image
from torch import Tensor, nn

from usncli import zoo
from usncli.certifying import CertifyOptions, Engine, Method, QueryRecord, Reference, Verdict, certify
from usncli.certifying.claims import make_claim
from usncli.certifying.falsify import Target
from usncli.loading.pipeline import Pipeline
from usncli.perturbing import Contrast, PerturbationRange, Pivot, parse_range
from usncli.types import Sample, Task

OPTIONS = CertifyOptions(seconds=30, tau=1.0)


def assert_certified_holds(
    pipeline: Pipeline, data: Data, region: PerturbationRange, record: QueryRecord, options: CertifyOptions
) -> None:
    """Run the shipped network at 2,000 thetas of the certified box; all must keep the property."""
    assert record.certified_lower is not None
    assert record.certified_upper is not None
    sample = data[record.index]
    claim = make_claim(pipeline, sample, options, labelled=data.labelled)
    lower, upper = torch.tensor(record.certified_lower).double(), torch.tensor(record.certified_upper).double()
    weights = torch.rand(2000, len(lower), generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    target = Target(pipeline, sample.image.unsqueeze(0), region, claim)
    with torch.no_grad():
        margins = torch.cat([target.margins(part) for part in torch.split(lower + weights * (upper - lower), 100)])
    assert float(margins.min()) > 0


def decide(pipeline: Pipeline, data: Data, text: str, options: CertifyOptions = OPTIONS) -> QueryRecord:
    region = parse_range(text)
    record = certify(pipeline, data, [region], options).queries[0]
    if record.verdict == Verdict.CERTIFIED:
        assert_certified_holds(pipeline, data, region, record, options)
    if record.verdict == Verdict.FALSIFIED:
        assert record.witness is not None
        target = Target(
            pipeline, data[0].image.unsqueeze(0), region, make_claim(pipeline, data[0], options, labelled=data.labelled)
        )
        assert target.margin(torch.tensor(record.witness, dtype=torch.float64)) == record.margin
        assert record.margin is not None
        assert record.margin <= 0
    return record


class Squared(nn.Module):
    """Two logits: the sum of a 3x3 max pool's outputs against a constant."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = limit

    def forward(self, images: Tensor) -> Tensor:
        pooled = nn.functional.max_pool2d(images, 3, 2, 1).flatten(1).sum(dim=1, keepdim=True)
        return torch.cat([self.limit - pooled, pooled - self.limit], dim=1)


# Two pixels p = (0.2, 0.6). Critical thetas by hand.
# Logits p1 + b against a constant 0.3: class 1 wins at b = 0.1.
FIRST_PIXEL = ([[0.0, 0.0], [1.0, 0.0]], [0.3, 0.0])
# Contrast a: 0.6 a against 0.75: critical a = 1.25.
SECOND_PIXEL = ([[0.0, 0.0], [0.0, 1.0]], [0.75, 0.0])
# Both: 0.6 a + b against 0.8: at b = 0.05 critical a = 1.25.
# Clipping: p2 + b against 0.999 + 0.0005: never reached at b <= 0.39; clipped values never exceed 1, so 1.1 is safe.
TABLE = [
    ("brightness below", FIRST_PIXEL, "brightness=-0.1:0.0999", Verdict.CERTIFIED),
    ("brightness above", FIRST_PIXEL, "brightness=-0.1:0.1001", Verdict.FALSIFIED),
    ("contrast below", SECOND_PIXEL, "contrast=0.5:1.2499", Verdict.CERTIFIED),
    ("contrast above", SECOND_PIXEL, "contrast=0.5:1.2501", Verdict.FALSIFIED),
    ("joint below", ([[0.0, 0.0], [0.0, 1.0]], [0.8, 0.0]), "brightness=0.05,contrast=0.5:1.2495", Verdict.CERTIFIED),
    ("joint above", ([[0.0, 0.0], [0.0, 1.0]], [0.8, 0.0]), "brightness=0.05,contrast=0.5:1.2505", Verdict.FALSIFIED),
    ("clipped at 1", ([[0.0, 0.0], [0.0, 1.0]], [1.001, 0.0]), "brightness=0.9", Verdict.CERTIFIED),
    ("clipped at 0", ([[0.0, 0.0], [-1.0, 0.0]], [0.001, 0.0]), "brightness=0.9", Verdict.CERTIFIED),
    ("reached at 1", ([[0.0, 0.0], [0.0, 1.0]], [0.999, 0.0]), "brightness=0.9", Verdict.FALSIFIED),
]


@pytest.mark.parametrize(("name", "layer", "text", "verdict"), TABLE, ids=[row[0] for row in TABLE])
def test_classes(name: str, layer: tuple[list[list[float]], list[float]], text: str, verdict: Verdict) -> None:
    pipeline = grey_pipeline(linear_of_pixels(*layer), (1, 2), Task.CLASSIFICATION, mean=0.3, std=0.5)
    # The layer sees (p - 0.3) / 0.5: undo that in its weights, so that the critical thetas stay.
    linear = pipeline.network.get_submodule(next(name for name, part in pipeline.network.named_modules() if name))
    with torch.no_grad():
        linear.bias += 0.3 * linear.weight.sum(dim=1)
        linear.weight *= 0.5
    data = one_image(torch.tensor([[[0.2, 0.6]]]), torch.tensor(0))
    assert decide(pipeline, data, text).verdict == verdict


@pytest.mark.parametrize(("limit", "verdict"), [(1.001, Verdict.CERTIFIED), (0.999, Verdict.FALSIFIED)])
def test_max_pooling(limit: float, verdict: Verdict) -> None:
    # A 2x2 image pools to one number, its largest pixel 0.8; with b up to 0.2 it reaches 1.
    pipeline = grey_pipeline(Squared(limit), (2, 2), Task.CLASSIFICATION)
    data = one_image(torch.tensor([[[0.1, 0.8], [0.3, 0.2]]]), torch.tensor(0))
    assert decide(pipeline, data, "brightness=0.2").verdict == verdict


@pytest.mark.parametrize(("eps", "verdict"), [(0.0999, Verdict.CERTIFIED), (0.1001, Verdict.FALSIFIED)])
def test_keypoints(eps: float, verdict: Verdict) -> None:
    # x = 10 p1, y = -20 relu(p2 - 0.5): y moves by 20 b, so tau = 2 breaks at b = 0.1; the other keypoint, which moves
    # further, is not visible.
    class Points(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            first, second = images.flatten(1).unbind(dim=1)
            y = -20 * torch.relu(second - 0.3)
            return torch.stack([10 * first, y, 500 * first, 0 * y], dim=1)

    pipeline = grey_pipeline(Points(), (1, 2), Task.KEYPOINTS)
    target = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    data = one_image(torch.tensor([[[0.2, 0.6]]]), target, Task.KEYPOINTS)
    assert decide(pipeline, data, f"brightness={eps}", CertifyOptions(tau=2.0)).verdict == verdict


@pytest.mark.parametrize(("eps", "verdict"), [(0.0999, Verdict.CERTIFIED), (0.1001, Verdict.FALSIFIED)])
def test_heatmaps(eps: float, verdict: Verdict) -> None:
    # A map of 1x4 cells over an image 4 wide, at p = 0.2 + b: cell 0 is the peak, 0.5; cell 1, near, is 0.3 + 4 b and
    # passes it at b = 0.05, which is allowed; cell 3, far, is 0.1 + 6 b and passes cell 1 at b = 0.1.
    class Map(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            p = images.flatten(1)
            base = 0 * p[:, 0]
            cells = torch.stack([base + 0.5, 4 * p[:, 0] - 0.5, base, 6 * p[:, 0] - 1.1], dim=1)
            return cells.view(-1, 1, 1, 4)

    pipeline = grey_pipeline(Map(), (1, 4), Task.HEATMAPS)
    data = one_image(torch.full((1, 1, 4), 0.2), torch.tensor([[0.5, 0.5, 1.0]]), Task.KEYPOINTS)
    record = decide(pipeline, data, f"brightness={eps}", CertifyOptions(tau=1.0))
    assert record.verdict == verdict, record


@pytest.mark.parametrize("method", list(Method))
def test_every_method_decides_soundly(method: Method) -> None:
    torch.manual_seed(0)
    pipeline = grey_pipeline(zoo.classifier(classes=3, channels=1, size=8, width=0.2), (8, 8), Task.CLASSIFICATION)
    samples = [Sample(torch.rand(1, 8, 8), torch.tensor(0), str(index)) for index in range(3)]
    options = CertifyOptions(seconds=3, method=method, pieces=64)
    for sample in samples:
        record = decide(pipeline, Data([sample], Task.CLASSIFICATION), "brightness=0.05,contrast=0.1", options)
        assert record.verdict in (Verdict.CERTIFIED, Verdict.FALSIFIED, Verdict.UNKNOWN)


def test_mean_pivot_and_float32() -> None:
    torch.manual_seed(1)
    pipeline = grey_pipeline(zoo.cnn7(outputs=4, channels=1, size=16, width=0.2), (16, 16), Task.KEYPOINTS)
    data = one_image(torch.rand(1, 16, 16), torch.zeros(2, 3), Task.KEYPOINTS, labelled=False)
    region = PerturbationRange(Contrast(pivot=Pivot.MEAN), (0.8,), (1.2,), "contrast=0.2")
    for dtype in ("float64", "float32"):
        options = CertifyOptions(tau=0.5, dtype=dtype)
        record = certify(pipeline, data, [region], options).queries[0]
        assert record.verdict == Verdict.CERTIFIED, record
        assert_certified_holds(pipeline, data, region, record, options)


def test_a_partly_certified_range_holds() -> None:
    pipeline = grey_pipeline(linear_of_pixels(*FIRST_PIXEL), (1, 2), Task.CLASSIFICATION)
    data = one_image(torch.tensor([[[0.2, 0.6]]]), torch.tensor(0))
    # Margins below auto_LiRPA's slack are never proved by it.
    options = CertifyOptions(pieces=30, reference=Reference.LABEL, engine=Engine.LIRPA)
    record = certify(pipeline, data, [parse_range("brightness=-0.02:0.0999999")], options).queries[0]
    assert record.verdict == Verdict.UNKNOWN
    assert_certified_holds(pipeline, data, parse_range("brightness=0.1"), record, options)
    assert 0.4 < record.certified_fraction < 1


@pytest.mark.parametrize("share", [1 - 1e-3, 1 + 1e-3])
def test_gamma_is_certified_up_to_the_critical_exponent(share: float) -> None:
    """0.25^g stays below 0.35 down to g = ln 0.35 / ln 0.25."""
    pipeline = grey_pipeline(linear_of_pixels([[1.0, 0.0], [0.0, 0.0]], [0.0, 0.35]), (1, 2), Task.CLASSIFICATION)
    data = one_image(torch.tensor([[[0.25, 0.6]]]), torch.tensor(1))
    critical = 1 - math.log(0.35) / math.log(0.25)
    record = decide(pipeline, data, f"gamma={critical * share!r}")
    assert record.verdict == (Verdict.CERTIFIED if share < 1 else Verdict.FALSIFIED)
