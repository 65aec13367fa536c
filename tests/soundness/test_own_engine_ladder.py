"""A ladder of networks whose critical theta is known exactly: certified at 0.999 of it, falsified at 1.001.

Critical thetas by hand; p is a pixel. Where the network is not linear in theta, bounds have to close in on the critical
one from below.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from tiny_pipelines import grey_pipeline, linear_of_pixels, one_image
from torch import Tensor, nn

from usncli.bounding.method import Arithmetic, Engine
from usncli.certifying import CertifyOptions, QueryRecord, Verdict, certify
from usncli.loading.pipeline import Pipeline
from usncli.perturbing import parse_range
from usncli.types import Task

STEP = 1e-3
"""Relative distance from the critical theta."""


class Against(nn.Module):
    """Two logits: a limit, and a function of the pixels, which must stay below it."""

    def __init__(self, limit: float, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.limit, self.function = limit, function

    def forward(self, images: Tensor) -> Tensor:
        value = self.function(images).flatten(1)
        return torch.cat([0 * value + self.limit, value], dim=1)


def first(images: Tensor) -> Tensor:
    return images[..., :1]


def second(images: Tensor) -> Tensor:
    return images[..., 1:]


def largest_of_sums(images: Tensor) -> Tensor:
    """The largest of p1, p2 and p1 + p2 - 0.5, of which another one leads before the end."""
    sums = nn.functional.pad(first(images) + second(images) - 0.5, (2, 0)) + nn.functional.pad(images, (0, 1))
    return nn.functional.max_pool2d(sums, (1, 3))


def gated(images: Tensor) -> Tensor:
    """p1 p2, a product of two values that both move."""
    return first(images) * second(images)


@dataclass(frozen=True)
class Rung:
    """A network and where it fails.

    Attributes:
        limit: what the function must stay below.
        function: of a picture of two pixels.
        pixels: of the picture.
        critical: the parameter, relative to its identity, at which the limit is reached.
        text: the range up to a share of that, for `parse_range`.
    """

    limit: float
    function: Callable[[Tensor], Tensor]
    pixels: tuple[float, float]
    critical: float
    text: Callable[[float], str]


def brighter(end: float) -> str:
    return f"brightness=-0.1:{end!r}"


def more_contrast(end: float) -> str:
    return f"contrast=0.5:{1 + end!r}"


def gamma_down(end: float) -> str:
    return f"gamma={1 - end!r}:1.2"


LOGISTIC = 1 / (1 + math.exp(-0.1))
RUNGS = {
    # 0.2 + b = 0.3.
    "brightness": Rung(0.3, first, (0.2, 0.6), 0.1, brighter),
    # (1 + e) 0.6 = 0.75.
    "contrast": Rung(0.75, second, (0.2, 0.6), 0.25, more_contrast),
    # With b up to 0.05 and a up to 1 + e: 0.6 (1 + e) + 0.05 = 0.8.
    "joint": Rung(0.8, second, (0.2, 0.6), 0.25, lambda end: f"brightness=0.05,contrast=0.5:{1 + end!r}"),
    # p2 is clipped to 1 from b = 0.1 on, so p1 + p2 = 1.5 at b = 0.3, not at 0.2 as without clipping.
    "clipping": Rung(1.5, lambda images: first(images) + second(images), (0.2, 0.9), 0.3, brighter),
    # p2 is clipped to 0 below: 1 - p1 - p2, with p2 = 0 from b = -0.1 on, is 1 - 0.4 + |b| = 0.9 at b = -0.3.
    "clipping below": Rung(
        0.9, lambda images: 1 - first(images) - second(images), (0.4, 0.1), 0.3, lambda end: f"brightness={-end!r}:0.1"
    ),
    # p2 = 0.7 + b leads up to b = 0.25, where p1 + p2 - 0.5 = 0.45 + 2 b passes it, and reaches 0.9 at b = 0.2.
    "max pooling": Rung(0.9, largest_of_sums, (0.25, 0.7), 0.2, brighter),
    # p1 + p2 - 0.5 = 0.6 + 2 b passes p2 = 0.65 + b at b = 0.05, and reaches 0.9 at b = 0.15, where p2 is 0.8.
    "max pooling with another leader": Rung(0.9, largest_of_sums, (0.45, 0.65), 0.15, brighter),
    # 0.25^g = 0.35.
    "gamma": Rung(0.35, first, (0.25, 0.6), 1 - math.log(0.35) / math.log(0.25), gamma_down),
    # 0.25^g + 0.6^g = 0.25^0.75 + 0.6^0.75 at g = 0.75.
    "gamma of a sum": Rung(
        0.25**0.75 + 0.6**0.75, lambda images: first(images) + second(images), (0.25, 0.6), 0.25, gamma_down
    ),
    # sigmoid(p1 - 0.2 + b) reaches sigmoid(0.1) at b = 0.1.
    "sigmoid": Rung(LOGISTIC, lambda images: torch.sigmoid(first(images) - 0.2), (0.2, 0.6), 0.1, brighter),
    # (0.2 + b)(0.6 + b) = 0.21 at b = 0.1.
    "product": Rung(0.21, gated, (0.2, 0.6), 0.1, brighter),
    # |p1 - p2| does not move, 2 |p1 - 0.5| does: 0.8 at b = -0.1 and at b = 0.7.
    "absolute": Rung(
        0.8, lambda images: 2 * (first(images) - 0.5).abs(), (0.2, 0.6), 0.1, lambda end: f"brightness={-end!r}:0.2"
    ),
    # hardswish(6 p1 - 3) = p1 (6 p1 - 3) is 0.36 at p1 = 0.6.
    "hardswish": Rung(0.36, lambda images: nn.functional.hardswish(6 * first(images) - 3), (0.55, 0.6), 0.05, brighter),
}


@functools.cache
def pipeline_of(name: str) -> Pipeline:
    return grey_pipeline(Against(RUNGS[name].limit, RUNGS[name].function), (1, 2), Task.CLASSIFICATION)


def decide(name: str, share: float, arithmetic: Arithmetic = Arithmetic.REAL) -> QueryRecord:
    rung = RUNGS[name]
    data = one_image(torch.tensor([[rung.pixels]]), torch.tensor(0))
    options = CertifyOptions(engine=Engine.USN, arithmetic=arithmetic, seconds=20)
    return certify(pipeline_of(name), data, [parse_range(rung.text(rung.critical * share))], options).queries[0]


@pytest.mark.parametrize("name", RUNGS)
def test_certified_just_below(name: str) -> None:
    record = decide(name, 1 - STEP)
    assert record.verdict == Verdict.CERTIFIED, record
    assert record.engine == "usn"


@pytest.mark.parametrize("name", RUNGS)
def test_falsified_just_above(name: str) -> None:
    assert decide(name, 1 + STEP).verdict == Verdict.FALSIFIED


@pytest.mark.parametrize("name", ["brightness", "joint", "max pooling", "sigmoid", "gamma"])
def test_certified_as_executed_in_float32(name: str) -> None:
    assert decide(name, 1 - STEP, Arithmetic.FLOAT32).verdict == Verdict.CERTIFIED


def test_as_linear_layers_of_a_normalised_picture() -> None:
    """0.2 + b = 0.3, with mean and deviation inside what is certified."""
    for share, verdict in ((1 - STEP, Verdict.CERTIFIED), (1 + STEP, Verdict.FALSIFIED)):
        layers = linear_of_pixels([[0.0, 0.0], [0.5, 0.0]], [0.0, 0.0])
        # 0.5 (p - 0.3) / 0.5 against 0.
        pipeline = grey_pipeline(layers, (1, 2), Task.CLASSIFICATION, mean=0.3, std=0.5)
        data = one_image(torch.tensor([[[0.2, 0.6]]]), torch.tensor(0))
        options = CertifyOptions(engine=Engine.USN, seconds=20)
        record = certify(pipeline, data, [parse_range(brighter(0.1 * share))], options).queries[0]
        assert record.verdict == verdict
