"""Bounds contain samples for every operation and method, tighten as pieces shrink, and are exact at zero width."""

from __future__ import annotations

import copy

import pytest
import torch
from rewriting_cases import CASES
from tiny_pipelines import captured, sampled_batch_norm
from torch import Tensor, fx

from usncli.bounding.engine import Work
from usncli.bounding.lirpa.engine import LirpaEngine
from usncli.bounding.method import Method
from usncli.bounding.rewriting import rewrite
from usncli.bounding.rows import Rows
from usncli.perturbing import Boxes, Lines, PerturbationRange, parse_range
from usncli.perturbing.lines import normalised as normalised_by

SHAPE = (2, 10, 9)
SAMPLES = 500
BIG = ("resnet18", "heatmaps")


def eight_bit_image(seed: int = 0) -> Tensor:
    """An image of few values, 0 and 1 among them, so that many pixels are clipped at once."""
    return torch.randint(0, 9, (1, *SHAPE), generator=torch.Generator().manual_seed(seed)).double() / 8


def rewritten(name: str) -> fx.GraphModule:
    torch.manual_seed(0)
    return rewrite(captured(sampled_batch_norm(copy.deepcopy(CASES[name]), SHAPE), SHAPE), torch.rand(1, *SHAPE))


def random_rows(pieces: int, outputs: int, count: int = 6) -> Rows:
    generator = torch.Generator().manual_seed(1)
    indices = torch.randint(outputs, (1, count, 2), generator=generator).expand(pieces, -1, -1)
    coefficients = torch.randn(1, count, 2, generator=generator, dtype=torch.float64).expand(pieces, -1, -1)
    return Rows(indices, coefficients, torch.full((pieces, count), 0.25, dtype=torch.float64))


def bound(engine: LirpaEngine, lines: Lines, rows: Rows, centre: Tensor, threshold: float = 1e9) -> Tensor:
    wanted = torch.ones_like(centre, dtype=torch.bool)
    return engine.lower_bounds(Work(lines, rows, wanted, centre, centre.new_full((len(centre),), threshold))).lower


def sampled(network: fx.GraphModule, image: Tensor, region: PerturbationRange, boxes: Boxes, rows: Rows) -> Tensor:
    """Least values of the rows over random thetas and the corners of each piece."""
    weights = torch.rand(SAMPLES, boxes.lower.shape[1], generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    weights[0], weights[1] = 0, 1
    least = []
    for piece in range(len(boxes.lower)):
        theta = boxes.lower[piece] + weights * (boxes.upper - boxes.lower)[piece]
        images = region.perturbation.expand(image, theta)
        outputs = network((images - 0.4) / 0.5)
        values = Rows(*[part[:1].expand(SAMPLES, *part.shape[1:]) for part in rows]).values(outputs)
        least.append(values.amin(dim=0))
    return torch.stack(least)


def centred(network: fx.GraphModule, image: Tensor, region: PerturbationRange, boxes: Boxes, rows: Rows) -> Tensor:
    images = region.perturbation.expand(image, boxes.centres())
    return rows.values(network((images - 0.4) / 0.5))


def normalised(lines: Lines) -> Lines:
    return normalised_by(lines, *torch.tensor([0.4, 0.5], dtype=torch.float64).view(2, 1, 1, 1, 1))


@pytest.mark.parametrize("name", CASES)
def test_every_operation(name: str) -> None:
    network, image = rewritten(name), eight_bit_image()
    region = parse_range("brightness=0.3,contrast=0.3")
    lower = torch.tensor([[-0.3, 0.7], [0.05, 0.9], [-0.01, 0.99], [-0.125, 1.0]], dtype=torch.float64)
    boxes = Boxes(lower, lower + torch.tensor([[0.6, 0.6], [0.05, 0.1], [0.02, 0.02], [0.0, 0.0]]).double())
    lines = normalised(region.perturbation.enclosure(image, boxes))
    with torch.no_grad():
        rows = random_rows(4, int(network(image).shape[1]))
        centre = centred(network, image, region, boxes, rows)
        truth = sampled(network, image, region, boxes, rows)
    methods = [Method.FORWARD_BACKWARD, Method.FORWARD, Method.IBP] if name in BIG else list(Method)
    for method in methods:
        engine = LirpaEngine(network, image, method)
        bounds = bound(engine, lines, rows, centre)
        scale = 1 + truth.abs()
        proved = torch.isfinite(bounds)
        assert bool(proved.all()), method
        assert bool((bounds <= truth + 1e-9 * scale).all()), (method, (bounds - truth).max())
        assert torch.allclose(bounds[3], centre[3], rtol=1e-8, atol=1e-8), method


@pytest.mark.parametrize("method", list(Method))
def test_smaller_pieces_never_loosen(method: Method) -> None:
    network, image = rewritten("max pool with another stride"), eight_bit_image(1)
    region = parse_range("contrast=0.4")
    whole = Boxes(torch.tensor([[0.7]]).double(), torch.tensor([[0.9]]).double())
    halves = Boxes(torch.tensor([[0.7], [0.8]]).double(), torch.tensor([[0.8], [0.9]]).double())
    engine = LirpaEngine(network, image, method)
    found = []
    for boxes in (whole, halves):
        lines = normalised(region.perturbation.enclosure(image, boxes))
        with torch.no_grad():
            rows = random_rows(len(boxes.lower), int(network(image).shape[1]))
            centre = centred(network, image, region, boxes, rows)
        found.append(bound(engine, lines, rows, centre).amin(dim=0))
    # Parallel lines are the best single ones, not nested ones, hence a tolerance.
    assert bool((found[1] >= found[0] - 0.02 * (1 + found[0].abs())).all())


@pytest.mark.parametrize("symbols", [0, 3, 1000])
def test_relu_errors_kept_apart_or_not(symbols: int) -> None:
    network, image = rewritten("heatmaps"), eight_bit_image(2)
    region = parse_range("brightness=0.3", clip=False)
    boxes = Boxes(torch.tensor([[-0.3], [0.1]]).double(), torch.tensor([[0.0], [0.2]]).double())
    lines = normalised(region.perturbation.enclosure(image, boxes))
    engine = LirpaEngine(network, image)
    with torch.no_grad():
        rows = random_rows(2, engine.outputs)
        engine._propagate(lines, symbols)
        bounds = rows.minimum(engine._outputs())
        assert bool((bounds <= sampled(network, image, region, boxes, rows) + 1e-9).all())
        engine._propagate(lines, 0)
        assert bool((bounds >= rows.minimum(engine._outputs()) - 1e-9).all())


def test_lines_hold_the_clipped_image() -> None:
    image, region = eight_bit_image(3), parse_range("brightness=0.9,contrast=0.9")
    lower = -0.9 + 1.6 * torch.rand(40, 2, dtype=torch.float64) * torch.tensor([1.0, 0.5]) + torch.tensor([0.0, 1.0])
    boxes = Boxes(lower, lower + 0.3 * torch.rand(40, 2, dtype=torch.float64))
    lines = region.perturbation.enclosure(image, boxes)
    for weights in (torch.tensor([0.0, 0.0]), torch.tensor([1.0, 0.0]), torch.tensor([0.3, 0.8]), torch.tensor([1, 1])):
        theta = boxes.lower + weights.double() * (boxes.upper - boxes.lower)
        t = ((theta - boxes.centres()) / boxes.radii().clamp(min=1e-300)).clamp(-1, 1)
        exact = region.perturbation.expand(image, theta)
        own = (lines.lower_slope[:, :2] * t[:, :, None, None, None]).sum(dim=1)
        shared = lines.lower_slope[:, 2:].abs().sum(dim=1)
        assert bool((own + lines.lower - shared <= exact + 1e-12).all())
        assert bool((own + lines.upper + shared >= exact - 1e-12).all())
    one = Boxes(torch.tensor([[0.0, 1.0]]).double(), torch.tensor([[0.0, 1.0]]).double())
    still = region.perturbation.enclosure(image, one)
    assert torch.allclose(still.lower, image, atol=1e-12)
    assert torch.allclose(still.upper, image, atol=1e-12)


@pytest.mark.parametrize("name", ["max pool with another stride", "heatmaps"])
def test_a_perturbation_that_is_not_affine(name: str) -> None:
    network, image = rewritten(name), eight_bit_image(7)
    region = parse_range("gamma=0.5")
    lower = torch.tensor([[0.5], [0.9], [0.99], [1.2]], dtype=torch.float64)
    boxes = Boxes(lower, lower + torch.tensor([[1.0], [0.2], [0.01], [0.0]], dtype=torch.float64))
    engine = LirpaEngine(network, image)
    with torch.no_grad():
        rows = random_rows(4, engine.outputs)
        centre = centred(network, image, region, boxes, rows)
        truth = sampled(network, image, region, boxes, rows)
    bounds = bound(engine, normalised(region.perturbation.enclosure(image, boxes)), rows, centre)
    assert bool((bounds <= truth + 1e-9 * (1 + truth.abs())).all())
    assert torch.allclose(bounds[3], centre[3], rtol=1e-8, atol=1e-8)


def test_a_missing_mean_would_be_noticed() -> None:
    network, image = rewritten("clamp"), eight_bit_image(4)
    region = parse_range("brightness=0.05", clip=False)
    boxes = Boxes(torch.tensor([[0.0]]).double(), torch.tensor([[0.01]]).double())
    wrong = normalised_by(
        region.perturbation.enclosure(image, boxes), torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1), 0.5)
    )
    with torch.no_grad():
        rows = random_rows(1, int(network(image).shape[1]), count=40)
        truth = sampled(network, image, region, boxes, rows)
        bounds = bound(LirpaEngine(network, image), wrong, rows, centred(network, image, region, boxes, rows))
    assert bool((bounds > truth + 1e-6).any())


@pytest.mark.parametrize("name", CASES)
def test_backward_passes_to_every_cut(name: str) -> None:
    network, image = rewritten(name), eight_bit_image(5)
    region = parse_range("brightness=0.3,contrast=0.3")
    lower = torch.tensor([[-0.3, 0.7], [0.05, 0.9], [-0.125, 1.0]], dtype=torch.float64)
    boxes = Boxes(lower, lower + torch.tensor([[0.4, 0.5], [0.02, 0.02], [0.0, 0.0]]).double())
    lines = normalised(region.perturbation.enclosure(image, boxes))
    engine = LirpaEngine(network, image)
    everything = torch.arange(6).expand(3, -1)
    with torch.no_grad():
        rows = random_rows(3, engine.outputs)
        centre = centred(network, image, region, boxes, rows)
        truth = sampled(network, image, region, boxes, rows)
        work = Work(lines, rows, torch.ones_like(centre, dtype=torch.bool), centre, 0.0)
        for symbols in (0, 5):
            engine._propagate(lines, symbols)
            for cut in engine._cuts[:: 1 if name not in BIG else 5]:
                bounds = engine._backward(cut, engine._relu_bounds(), work, torch.arange(3), everything)
                assert bool((bounds <= truth + 1e-9 * (1 + truth.abs())).all()), (cut, symbols)
                assert torch.allclose(bounds[2], centre[2], rtol=1e-8, atol=1e-8), (cut, symbols)
                # Some pieces at a time and in another order, as when most rows are closed.
                some = engine._backward(cut, engine._relu_bounds(), work, torch.tensor([1, 0]), everything[:2])
                assert torch.allclose(some, bounds[[1, 0]], rtol=1e-9, atol=1e-9), (cut, symbols)


def test_the_whole_strategy_closes_rows_that_hold() -> None:
    network, image = rewritten("max pool with another stride"), eight_bit_image(6)
    region = parse_range("contrast=0.4")
    ends = torch.linspace(0.8, 1.0, 65, dtype=torch.float64).unsqueeze(1)
    boxes = Boxes(ends[:-1], ends[1:])
    lines = normalised(region.perturbation.enclosure(image, boxes))
    engine = LirpaEngine(network, image)
    with torch.no_grad():
        rows = random_rows(64, engine.outputs)
        truth = sampled(network, image, region, boxes, rows)
        shifted = rows._replace(bias=rows.bias - truth.amin() + 0.05)
        centre = centred(network, image, region, boxes, shifted)
    bounds = bound(engine, lines, shifted, centre, threshold=0.0)
    assert bool((bounds <= truth - truth.amin() + 0.05 + 1e-9).all())
    assert float((bounds > 0).double().mean()) > 0.95
