"""What stands in the way of a network is named by layer, all of it at once, each with what to do."""

from __future__ import annotations

import pytest
import torch
from tiny_pipelines import grey_pipeline
from torch import Tensor, nn

from usncli.bounding.method import Arithmetic, Engine
from usncli.bounding.rewriting.vocabulary import Vocabulary
from usncli.certifying import CertifyOptions
from usncli.certifying.engines import vocabularies
from usncli.preflight import operations
from usncli.preflight.operations import CERTIFIED, CONFIRMED, CUT, EXPORTED, certification_obstacles, examine
from usncli.types import Task


class Plain(nn.Module):
    """Two convolutions and a head, with something between."""

    def __init__(self, between: nn.Module | None = None) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 3, 3, padding=1)
        self.between = between or nn.ReLU()
        self.head = nn.Linear(3, 2)

    def forward(self, images: Tensor) -> Tensor:
        features = torch.relu(self.second(self.between(self.first(images))))
        return self.finish(self.head(features.mean((2, 3))))

    def finish(self, outputs: Tensor) -> Tensor:
        return outputs


class Several(Plain):
    """A layer norm, a function and a softmax that have no rule."""

    def __init__(self) -> None:
        super().__init__(nn.GroupNorm(2, 4))

    def finish(self, outputs: Tensor) -> Tensor:
        return torch.sin(outputs).softmax(1)


class WithoutOnnx(nn.Module):
    """Two functions that ONNX does not have, and little else: every kind of operation is exported alone."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(1, 4, 3), nn.Linear(64, 2)

    def forward(self, images: Tensor) -> Tensor:
        return torch.lgamma(torch.digamma(self.head(torch.relu(self.first(images)).flatten(1))))


def pipeline_of(module: nn.Module) -> operations.Pipeline:
    torch.manual_seed(0)
    return grey_pipeline(module, (6, 6), Task.CLASSIFICATION)


def test_every_unsupported_operation_is_named_at_once_with_what_to_do() -> None:
    found = {item.layer: item for item in certification_obstacles(pipeline_of(Several()), CertifyOptions())}
    assert list(found) == ["between (GroupNorm)", "forward (sin)", "forward (softmax.int)"]
    assert "nn.BatchNorm2d" in found["between (GroupNorm)"].remedy
    assert "leaky_relu" in found["forward (sin)"].remedy
    assert "leave it out" in found["forward (softmax.int)"].remedy
    assert all(item.blocking and item.cannot == CERTIFIED for item in found.values())


def test_what_only_auto_lirpa_does_not_know_blocks_only_what_needs_it() -> None:
    pipeline = pipeline_of(Plain(nn.Sigmoid()))
    (obstacle,) = certification_obstacles(pipeline, CertifyOptions())
    assert (obstacle.layer, obstacle.cannot, obstacle.blocking) == ("between (sigmoid)", CONFIRMED, False)
    assert "--engine usn" in obstacle.remedy
    assert certification_obstacles(pipeline, CertifyOptions(engine=Engine.USN)) == ()
    for options in (CertifyOptions(engine=Engine.LIRPA), CertifyOptions(second_opinion=True)):
        (obstacle,) = certification_obstacles(pipeline, options)
        assert (obstacle.cannot, obstacle.blocking) == (CERTIFIED, True)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (CertifyOptions(), {Vocabulary.FULL: True, Vocabulary.RELU: False}),
        (CertifyOptions(engine=Engine.USN), {Vocabulary.FULL: True}),
        (CertifyOptions(arithmetic=Arithmetic.FLOAT32), {Vocabulary.FULL: True}),
        (CertifyOptions(engine=Engine.LIRPA), {Vocabulary.RELU: True}),
        (CertifyOptions(engine=Engine.USN, second_opinion=True), {Vocabulary.FULL: True, Vocabulary.RELU: True}),
    ],
)
def test_which_rewritings_a_run_needs(options: CertifyOptions, expected: dict[Vocabulary, bool]) -> None:
    assert vocabularies(options) == expected


@pytest.fixture
def _no_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the export out, which takes seconds."""
    monkeypatch.setattr(operations, "unexportable_operations", lambda pipeline: ())


@pytest.mark.usefixtures("_no_export")
def test_a_network_that_cannot_be_cut_somewhere() -> None:
    found = examine(pipeline_of(Plain(nn.GroupNorm(2, 4))), CertifyOptions(engine=Engine.USN))
    (uncut,) = [item for item in found.obstacles if item.cannot == CUT]
    assert (uncut.layer, uncut.reason, uncut.blocking) == ("first", "GroupNorm mixes its channels", False)
    assert "leave it whole, or use nn.BatchNorm2d" in uncut.remedy
    assert (found.groups, found.channels) == (1, 3)


@pytest.mark.usefixtures("_no_export")
def test_a_network_that_cannot_be_cut_anywhere() -> None:
    linear = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    found = examine(pipeline_of(linear), CertifyOptions())
    assert [(item.layer, item.cannot) for item in found.obstacles] == [("the network", CUT)]
    assert found.groups == 0


@pytest.mark.usefixtures("_no_export")
def test_what_tracing_breaks_on_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*given: object) -> None:
        raise KeyError("no such grad_fn")

    monkeypatch.setattr(operations, "analyse_groups", breaks)
    found = examine(pipeline_of(Plain()), CertifyOptions())
    assert [(item.layer, item.cannot) for item in found.obstacles] == [("the network", CUT)]
    assert "no such grad_fn" in found.obstacles[0].reason


def test_an_ordinary_network_has_no_obstacles() -> None:
    found = examine(pipeline_of(Plain()), CertifyOptions())
    assert found.obstacles == ()
    assert (found.groups, found.channels) == (2, 7)


@pytest.mark.slow
def test_operations_that_onnx_does_not_have_are_named_by_layer() -> None:
    found = examine(pipeline_of(WithoutOnnx()), CertifyOptions()).obstacles
    exported = [item for item in found if item.cannot == EXPORTED]
    assert [(item.layer, item.blocking) for item in exported] == [
        ("forward (digamma)", False),
        ("forward (lgamma)", False),
    ]
    assert "No ONNX function found" in exported[0].reason
    assert exported[0].remedy
