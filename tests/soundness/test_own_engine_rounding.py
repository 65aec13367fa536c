"""Floating point: our own engine's verdicts hold in exact arithmetic, or in float32 executed in any order of summation.

Exact values are fractions, and nothing is tolerated.
"""

from __future__ import annotations

import copy
import functools
import importlib
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from containment import (
    EVERYTHING,
    Samples,
    backward_excess,
    backward_passes,
    bounder,
    cells_of,
    directions,
    evaluated,
    forward_state,
    images,
    row_coefficients,
    state_excess,
)
from executions import FUNCTIONS, exact_values, exactly, outside, summed_in_some_order
from random_networks import OPERATIONS, SHAPE, Sketch, random_lines, random_network
from tiny_pipelines import captured, grey_pipeline, one_image, sampled_batch_norm
from torch import Tensor, fx, nn

from usncli.bounding.affine.backward import Found
from usncli.bounding.affine.engine import AffineEngine
from usncli.bounding.affine.plan import make_plan
from usncli.bounding.affine.rounding import gamma
from usncli.bounding.affine.state import State
from usncli.bounding.engine import Work
from usncli.bounding.method import Arithmetic, Engine
from usncli.bounding.rewriting import Vocabulary, rewrite
from usncli.bounding.rewriting.activation import Function
from usncli.bounding.rewriting.linear_maps import Linear, LinearMap, Weighted
from usncli.bounding.rows import Rows
from usncli.certifying import CertifyOptions, Verdict, certify
from usncli.exporting.export import export
from usncli.exporting.runtime import run_onnx
from usncli.perturbing import Lines, parse_range
from usncli.perturbing.lines import apart
from usncli.types import Task

FULL = os.environ.get("USN_SOUNDNESS") == "full"
SMALL = (1, 3, 3)
RATIONAL = sorted({*OPERATIONS} - {str(function) for function in set(Function) - set(FUNCTIONS)} - {"gate", "branches"})
MODULES = (
    "enclosure",
    "backward",
    "batch",
    "open_rows",
    "refining",
    "cells",
    "steps",
    "rules.affine",
    "rules.elementwise",
)


@pytest.fixture
def ignoring_rounding(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make an engine of ours that takes floating point for exact arithmetic."""
    nothing = {"CENTRE": 0.0, "SUMMED": 0.0, "UNDERFLOW": 0.0}
    for name in (*MODULES, "rules.maxima", "rules.operation"):
        module = importlib.import_module(f"usncli.bounding.affine.{name}")
        for constant, value in {**nothing, "gamma": lambda *_: 0.0, "unit_roundoff": lambda *_: 0.0}.items():
            if hasattr(module, constant):
                monkeypatch.setattr(module, constant, value)
    return


def rational_network(seed: int) -> fx.GraphModule:
    """Return a random network whose values are fractions; half of them have weights of very different sizes."""
    sketch = Sketch(seed, SMALL)
    plain = sketch.weights
    if seed % 2:
        sketch.weights = lambda *shape: (plain(*shape) * 10 ** (4 * sketch.normal(*shape))).float().double()  # type: ignore[method-assign]
    value = sketch.image
    for _ in range(sketch.random.randint(2, 6)):
        value = sketch.tamed(OPERATIONS[sketch.random.choice(RATIONAL)](sketch, value))
        while value.examples[0].numel() > 30:
            value = sketch.dense(value, 8)
    return sketch.finish(sketch.dense(value, 3))


def wrong_in_exact_arithmetic(seed: int) -> list[str]:
    """Return what a network's exact values are outside of: enclosures of nodes, and backward passes at each stop."""
    draw = Sketch(seed).random
    dimension, working = draw.choice((1, 2)), draw.choice((torch.float32, torch.float32, torch.float64))
    width = draw.choice((0.0, 1e-7, 1e-3, 0.3))
    network = rational_network(seed)
    lines = random_lines(seed, (width,), dimension=dimension, shape=SMALL)
    state, plan = forward_state(network, lines, working=working), make_plan(network, torch.zeros(1, *SMALL).double())
    target = plan.nodes[-1]
    coefficients = row_coefficients(3, (3,), 1, seed).to(working)
    passes = list(backward_passes(state, plan, target, coefficients, cells_of(dimension)))
    wrong = []
    for point in directions(8, dimension, torch.Generator().manual_seed(seed))[[0, -2, -1]]:
        t = exactly(point)
        image = exactly(lines.lower[0]) + sum(
            exactly(slope) * at for slope, at in zip(lines.lower_slope[0], t, strict=True)
        )
        values = exact_values(network, image)
        wrong += [name for name, given in state.enclosures.items() if outside(given, 0, t, values[name])]
        rows = exactly(coefficients[0]).dot(values[target])
        wrong += [f"rows before {stop}" for stop, found in passes if _rows_outside(found, t, rows)]
    return wrong


def _rows_outside(found: Found, t: np.ndarray, rows: np.ndarray) -> bool:
    beyond = (rows < exactly(found.lower[0])) | (rows > exactly(found.upper[0]))
    return bool(beyond.any()) or outside(found.enclosure, 0, t, rows)


@pytest.mark.parametrize("seed", range(300 if FULL else 8))
def test_exact_values_lie_inside(seed: int) -> None:
    assert wrong_in_exact_arithmetic(seed) == []


@pytest.mark.usefixtures("ignoring_rounding")
def test_they_would_not_if_rounding_were_ignored() -> None:
    assert sum(bool(wrong_in_exact_arithmetic(seed)) for seed in range(6)) > 3


@pytest.mark.parametrize("ignored", [torch.float64, torch.float32], ids=["of centres", "of slopes and coefficients"])
def test_nor_if_that_of_one_precision_were(ignored: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    def mutated(terms: int, roundoff: float) -> float:
        return 0.0 if roundoff == torch.finfo(ignored).eps / 2 else gamma(terms, roundoff)

    monkeypatch.setattr("usncli.bounding.affine.rules.affine.gamma", mutated)
    assert sum(bool(wrong_in_exact_arithmetic(seed)) for seed in range(8)) > 0


def returned_by_windows() -> tuple[Fraction, float]:
    """Return the exact value of a row and its bound where 49 windows return coefficients to one pixel.

    All but the first are so small that float32 loses each of them, and all the same are no rounding of their sum.
    """
    sketch = Sketch(0, (1, 13, 13))
    pooled = sketch.reshape(sketch.maximum(sketch.image, 7, 1, 0), 49)
    weight = torch.full((1, 49), 0.99 * 2.0**-24, dtype=torch.float64)
    weight[0, 0] = 1.0
    network = sketch.finish(sketch.affine(pooled, Linear(weight, None)))
    image, still = torch.zeros(1, 1, 13, 13).double(), torch.zeros(1, 1, 1, 13, 13).double()
    image[0, 0, 6, 6] = 1.0
    lines = Lines(still, image, still, image)
    state, plan = forward_state(network, lines, working=torch.float32), make_plan(network, image)
    row = torch.full((1, 1, 1), -1.0)
    *_, (_, found) = backward_passes(state, plan, plan.nodes[-1], row, cells_of(1))
    return -exactly(weight).sum(), float(found.lower)


def test_coefficients_that_windows_return_are_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    exact, lower = returned_by_windows()
    assert Fraction(lower) <= exact
    monkeypatch.setattr("usncli.bounding.affine.rules.maxima.gamma", lambda *_: 0.0)
    exact, lower = returned_by_windows()
    assert Fraction(lower) > exact


HUGE = 2.0**60


def linear(weights: list[list[float]], bias: list[float]) -> nn.Linear:
    layer = nn.Linear(len(weights[0]), len(weights))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weights))
        layer.bias.copy_(torch.tensor(bias))
    return layer


def large_mean() -> nn.Module:
    """y = (x + 2^60 - 2^60) / sqrt(1 + eps) - 0.5, by a batch norm: below 0 for x = 0.4."""
    norm = nn.BatchNorm1d(1)
    with torch.no_grad():
        norm.running_mean.fill_(HUGE)
        norm.bias.fill_(-0.5)
    return nn.Sequential(linear([[1.0, 0.0, 0.0]], [HUGE]), norm)


DECEPTIVE = {
    # 0.3 - x, by way of 2^60 + x.
    "shifted far away and back": (
        nn.Sequential(linear([[1.0, 0.0, 0.0]], [HUGE]), linear([[1.0]], [-HUGE]), linear([[-1.0]], [0.3])),
        lambda x: Fraction(np.float32(0.3).item()) - x[0],
    ),
    # 0.3 - x_2, by way of a sum of three terms.
    "a sum that is badly scaled": (
        linear([[-HUGE, -1.0, HUGE]], [0.3]),
        lambda x: Fraction(np.float32(0.3).item()) - x[1] - Fraction(HUGE) * (x[0] - x[2]),
    ),
    "a large running mean": (large_mean(), lambda x: x[0] - Fraction(1, 2)),
    # The same behind a ReLU: 2^60 + x is above 0.
    "a difference of two large values": (
        nn.Sequential(
            linear([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [HUGE, HUGE]), nn.ReLU(), linear([[-1.0, 1.0]], [0.3])
        ),
        lambda x: Fraction(np.float32(0.3).item()) - x[0],
    ),
}
"""Modules of three pixels; all are above 0 as float64 computes them where the pixels are 0.4, and below 0 in truth."""
POINT = torch.full((1, 1, 1, 3), 0.4).double()


@functools.cache
def rewritten(name: str) -> fx.GraphModule:
    module = nn.Sequential(nn.Flatten(), copy.deepcopy(DECEPTIVE[name][0]))
    return rewrite(captured(module, (1, 1, 3)), POINT, torch.float64, Vocabulary.FULL)


def bounded(name: str, working: torch.dtype) -> float:
    """Return the engine's lower bound of a deceptive network over a tiny piece about 0.4, all passes made."""
    network = rewritten(name)
    slope = torch.full((1, 1, 1, 1, 3), 2.0**-10).double()
    rows = Rows(
        torch.zeros(1, 1, 2, dtype=torch.long), torch.tensor([[[1.0, 0.0]]]).double(), torch.zeros(1, 1).double()
    )
    one = torch.ones(1, 1).double()
    work = Work(Lines(slope, POINT, slope, POINT), rows, one.bool(), one * 0.3, torch.zeros(1).double())
    engine = AffineEngine(network, POINT, working=working, effort=EVERYTHING)
    assert float(network(POINT)) > 0
    return float(engine.lower_bounds(work).lower)


@pytest.mark.parametrize("name", DECEPTIVE)
def test_what_float64_computes_wrong_is_not_proved(name: str) -> None:
    for tenth in (-1, 0, 1):
        x = [Fraction(float(POINT[0, 0, 0, 0])) + Fraction(tenth, 2**10)] * 3
        assert DECEPTIVE[name][1](x) < 0
    for working in (torch.float32, torch.float64):
        assert not bounded(name, working) > 0


@pytest.mark.usefixtures("ignoring_rounding")
@pytest.mark.parametrize("name", DECEPTIVE)
def test_an_engine_that_ignores_rounding_proves_it(name: str) -> None:
    assert bounded(name, torch.float64) > 0


def two_classes(module: nn.Module) -> nn.Module:
    """Return a network of two logits, of which the second is 0."""

    class Against(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = copy.deepcopy(module)

        def forward(self, pixels: Tensor) -> Tensor:
            logit = self.module(pixels.flatten(1))
            return torch.cat([logit, 0 * logit], dim=1)

    return Against()


def verdict(module: nn.Module, pixels: list[float], text: str, arithmetic: Arithmetic) -> Verdict:
    pipeline = grey_pipeline(two_classes(module), (1, len(pixels)), Task.CLASSIFICATION)
    options = CertifyOptions(engine=Engine.USN, arithmetic=arithmetic, pieces=40)
    data = one_image(torch.tensor([[pixels]]), torch.tensor(0))
    return certify(pipeline, data, [parse_range(text)], options).queries[0].verdict


@pytest.mark.parametrize("name", DECEPTIVE)
def test_certify_does_not_fall_for_it(name: str) -> None:
    for arithmetic in Arithmetic:
        assert verdict(DECEPTIVE[name][0], [0.4] * 3, "brightness=0.001", arithmetic) != Verdict.CERTIFIED


def in_some_order(weights: list[float], pixels: list[float], bias: float, seed: int) -> float:
    terms = np.array([weight * pixel for weight, pixel in zip(weights, pixels, strict=True)] + [bias], dtype=np.float32)
    return float(np.cumsum(np.random.default_rng(seed).permutation(terms), dtype=np.float32)[-1])


LARGE = 2.0**24
SUMMED = [[LARGE, -LARGE, 1.0], [LARGE, 1.0, -LARGE], [1.0, LARGE, -LARGE]]
"""One sum in three orders: 1 for pixels of 1 in exact arithmetic, 0 or 1 in float32."""


def test_float32_in_any_order_is_more_than_exact_arithmetic() -> None:
    values = {in_some_order(SUMMED[0], [1.0] * 3, -0.5, seed) > 0 for seed in range(20)}
    assert values == {True, False}
    found = {
        arithmetic: [
            verdict(linear([weights], [-0.5]), [1.0] * 3, "brightness=-0.01:0.0", arithmetic) for weights in SUMMED
        ]
        for arithmetic in Arithmetic
    }
    # As shipped the sum may come out right: then exact arithmetic is certified, and float32 in any order is not.
    assert Verdict.CERTIFIED in found[Arithmetic.REAL]
    assert Verdict.CERTIFIED not in found[Arithmetic.FLOAT32]


def test_float32_is_certified_where_no_order_can_fail() -> None:
    """The terms' sizes sum to 2^25: summing loses 8 at most, rounding the input a few hundred; the margin is 4000."""
    weights = [LARGE, -LARGE, 4000.0]
    assert min(in_some_order(weights, [1.0] * 3, -0.5, seed) for seed in range(20)) > 0
    certified = verdict(linear([weights], [-0.5]), [1.0] * 3, "brightness=-0.01:0.0", Arithmetic.FLOAT32)
    assert certified == Verdict.CERTIFIED


@pytest.mark.parametrize("seed", range(300 if FULL else 6))
def test_executions_in_float32_lie_inside(seed: int) -> None:
    """As torch executes, and with every sum in orders of its own; passes back from the output, too."""
    draw = Sketch(seed).random
    dimension, working = draw.choice((1, 2)), draw.choice((torch.float32, torch.float64))
    widths = draw.choice(((0.0, 1e-6), (0.05, 0.5)))
    network = random_network(seed)
    lines = random_lines(seed, widths, dimension=dimension, slack=1e-3)
    # Images between the lines are rounded to float32 before they are executed.
    rounded = apart(lines, torch.tensor(1e-6))
    state = forward_state(network, rounded, working=working, arithmetic=Arithmetic.FLOAT32)
    part, cells = bounder(network, Arithmetic.FLOAT32, EVERYTHING, SHAPE), cells_of(dimension)
    single, everyones = in_single_precision(network), []
    for piece in range(len(widths)):
        generator = torch.Generator().manual_seed(piece)
        t = directions(40, dimension, generator)
        inputs = images(lines, piece, t, generator).float()
        everyones.append(Samples(t, {name: value.double() for name, value in evaluated(single, inputs).items()}))
        assert wrong(state_excess(state, piece, everyones[-1], cells)) == {}
        for index in range(3):
            values = summed_in_some_order(network, inputs[index].numpy(), np.random.default_rng(index))
            alone = {name: torch.from_numpy(np.array(value)).double().unsqueeze(0) for name, value in values.items()}
            assert wrong(state_excess(state, piece, Samples(t[index : index + 1], alone), cells)) == {}
    assert wrong(backward_excess(state, part.plan, part.plan.nodes[-1], everyones, cells)) == {}


def wrong(found: dict[str, float]) -> dict[str, float]:
    return {name: over for name, over in found.items() if over > 0}


def in_single_precision(network: fx.GraphModule) -> fx.GraphModule:
    single = copy.deepcopy(network).float()
    for layer in single.modules():
        if isinstance(layer, LinearMap):
            layer._forms = {}
    return single


def mostly_dead() -> fx.GraphModule:
    """Return 200 ReLUs of which 190 are 0 for every image, summed up."""
    generator = torch.Generator().manual_seed(0)
    first, last = nn.Linear(9, 200), nn.Linear(200, 3)
    with torch.no_grad():
        for layer in (first, last):
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
        first.bias.fill_(-1000.0)[:10] = 1000.0
    module = nn.Sequential(nn.Flatten(), first, nn.ReLU(), last)
    return rewrite(captured(module, SMALL), torch.rand(1, *SMALL), torch.float64, Vocabulary.FULL)


def test_zeros_round_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    network, lines = mostly_dead(), random_lines(0, (0.0,), shape=SMALL)
    inputs = lines.lower.float()
    exact = Lines(lines.lower_slope, inputs.double(), lines.lower_slope, inputs.double())

    def bounded_in_float32() -> State:
        return forward_state(network, exact, working=torch.float64, arithmetic=Arithmetic.FLOAT32)

    state = bounded_in_float32()
    for seed in range(30):
        values = summed_in_some_order(network, inputs[0].numpy(), np.random.default_rng(seed))
        alone = {name: torch.from_numpy(np.array(value)).double().unsqueeze(0) for name, value in values.items()}
        assert wrong(state_excess(state, 0, Samples(torch.zeros(1, 1).double(), alone), cells_of(1))) == {}
    output = list(state.enclosures)[-1]
    monkeypatch.setattr(LinearMap, "counted", lambda self, marked: marked.new_zeros(()))
    monkeypatch.delattr(Weighted, "counted")
    every_term = bounded_in_float32().enclosures[output].radius
    assert bool((state.enclosures[output].radius < every_term / 2).all())


def test_executions_leave_the_enclosures_of_exact_arithmetic() -> None:
    """So that the account of float32 is what the last test rests on."""
    left = 0
    for seed in range(6):
        network, lines = random_network(seed), random_lines(seed, (0.0,))
        inputs = lines.lower.float()
        exact = Lines(lines.lower_slope, inputs.double(), lines.lower_slope, inputs.double())
        state = forward_state(network, exact, working=torch.float64)
        values = {name: value.double() for name, value in evaluated(in_single_precision(network), inputs).items()}
        left += bool(wrong(state_excess(state, 0, Samples(torch.zeros(1, 1).double(), values), cells_of(1))))
    assert left == 6


class Everything(nn.Module):
    """Batch norm, pooling of three kinds, gates and smooth functions, as exported."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.Hardswish())
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.second = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.SiLU(), nn.Conv2d(4, 4, 1), nn.GELU())
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 1), nn.Sigmoid())
        self.head = nn.Linear(16, 4)

    def forward(self, values: Tensor) -> Tensor:
        values = self.pool(self.first(values))
        values = values + self.second(values)
        values = nn.functional.avg_pool2d(torch.tanh(values * self.gate(values)), 2)
        return self.head(values.flatten(1))


@pytest.mark.skipif(not FULL, reason="exporting takes as long as all other tests here; set USN_SOUNDNESS=full")
def test_onnxruntime_lies_inside(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = sampled_batch_norm(Everything(), (1, 8, 8))
    pipeline = grey_pipeline(module, (8, 8), Task.KEYPOINTS).eval()
    slope, base = 0.1 * torch.rand(1, 1, 1, 8, 8), 0.2 + 0.5 * torch.rand(1, 1, 8, 8)
    lines = Lines(slope.double(), base.double() - 1e-6, slope.double(), base.double() + 1e-6)
    network = rewrite(pipeline.network, base, torch.float64, Vocabulary.FULL)
    t = torch.linspace(-1, 1, 41).unsqueeze(1)
    inputs = base + t.view(-1, 1, 1, 1) * slope[0]
    path = tmp_path / "network.onnx"
    export(pipeline, path, base)
    executed = run_onnx(path, inputs).flatten(1)
    shipped = pipeline(inputs).flatten(1).detach()
    for working in (torch.float32, torch.float64):
        state = forward_state(network, lines, working=working, arithmetic=Arithmetic.FLOAT32)
        output = list(state.enclosures)[-1]
        for values in (executed, shipped):
            only = Samples(t.double(), {name: values.double() for name in state.enclosures if name == output})
            state.enclosures, state.intervals, state.largest = {output: state.enclosures[output]}, {}, {}
            state.magnitudes, state.steps = {}, {}
            assert wrong(state_excess(state, 0, only, cells_of(1))) == {}
