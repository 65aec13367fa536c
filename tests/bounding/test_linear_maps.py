"""Every affine map answers for its coefficients, their absolute values, its transpose and its rounding."""

from __future__ import annotations

import copy

import pytest
import torch
from rewriting_cases import CASES, FULL_CASES, SHAPE
from tiny_pipelines import captured, sampled_batch_norm
from torch import Tensor, fx, nn
from torch.nn import functional

from usncli.bounding.rewriting import Vocabulary, rewrite
from usncli.bounding.rewriting.linear_maps import (
    AlongAxes,
    Convolution,
    Linear,
    LinearMap,
    Reshape,
    ScaleShift,
    Selection,
    TransposedConvolution,
)
from usncli.bounding.rewriting.linear_maps.convolutions import Geometry
from usncli.bounding.rewriting.linear_maps.weighted import Weighted

NAMES = [name for name in {**CASES, **FULL_CASES} if name not in ("resnet18", "heatmaps")]
SINGLE = 2.0**-24
ROOM_FOR_DOUBT = 1000
POWER_STEPS = 100
"""Terms that only resizing by inexact coordinates has; its absolute coefficients are larger than need be."""


def gamma(terms: int) -> float:
    return terms * SINGLE / (1 - terms * SINGLE)


def maps(name: str) -> list[tuple[LinearMap, torch.Size]]:
    """Return the affine maps of a rewritten network, with the shapes of their inputs."""
    torch.manual_seed(1)
    module = sampled_batch_norm(copy.deepcopy({**CASES, **FULL_CASES}[name]), SHAPE)
    network = rewrite(captured(module, SHAPE), torch.rand(1, *SHAPE), vocabulary=Vocabulary.FULL)
    interpreter = fx.Interpreter(network, garbage_collect_values=False)
    interpreter.run(torch.rand(1, *SHAPE, dtype=torch.float64))
    found = []
    for node in network.graph.nodes:
        layer = network.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(layer, LinearMap):
            found.append((layer, interpreter.env[node.all_input_nodes[0]].shape[1:]))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_map_and_transpose_and_absolute(name: str) -> None:
    generator = torch.Generator().manual_seed(2)
    for layer, shape in maps(name):
        values = torch.randn(3, *shape, generator=generator, dtype=torch.float64)
        result = layer.linear(values)
        cotangents = torch.randn(result.shape, generator=generator, dtype=torch.float64)
        back = layer.transposed(cotangents)
        assert back.shape == values.shape
        forwards, backwards = ((a * b).flatten(1).sum(1) for a, b in ((result, cotangents), (values, back)))
        assert torch.allclose(forwards, backwards, rtol=1e-12, atol=1e-12 * float((result * cotangents).abs().sum()))
        assert bool((result.abs() <= layer.absolute(values.abs()) * (1 + 1e-12)).all())
        units = torch.eye(values[0].numel(), dtype=torch.float64)[::7].reshape(-1, *shape)
        if layer.terms < ROOM_FOR_DOUBT:
            assert torch.equal(layer.linear(units).abs(), layer.absolute(units))
        assert layer.magnitude is None or bool((layer.magnitude >= layer.shift.abs() * (1 - 1e-15)).all())
        # Their precision follows what they are given.
        assert layer.transposed(cotangents.float()).dtype == layer.linear(values.float()).dtype == torch.float32


def spectral_norm(matrix: torch.Tensor) -> float:
    """The largest singular value from below, as near as power iteration comes, less 1e-12 of it for rounding."""
    vector = 1 + torch.rand(matrix.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for _ in range(POWER_STEPS):
        vector = matrix.T @ (matrix @ vector)
        vector = vector / vector.norm().clamp(min=1e-300)
    return float((matrix @ vector).norm()) * (1 - 1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_norms_are_at_least_those_of_the_matrix(name: str) -> None:
    for layer, shape in maps(name):
        size = shape.numel()
        norms = layer.norms(shape, torch.device("cpu"))
        units = torch.eye(size, dtype=torch.float64).reshape(size, *shape)
        matrix, output = layer.linear(units), layer.linear(units[:1]).shape[1:]
        rows = norms.rows.expand(output)
        assert bool((matrix.square().sum(dim=0).sqrt() <= rows).all())
        assert spectral_norm(matrix.flatten(1)) <= norms.whole
        assert spectral_norm(matrix.flatten(1).abs()) <= norms.absolute
        assert norms.whole <= norms.absolute


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 1), (4, 1, 2), (3, 2, 1), (5, 3, 2), (2, 2, 1)])
def test_the_norm_of_a_convolution(shape: tuple[int, int, int], groups: int) -> None:
    """It is met on inputs far larger than the kernel, but for what lies between frequencies and at borders."""
    kernel, stride, dilation = shape
    generator = torch.Generator().manual_seed(kernel + 10 * stride)
    weight = torch.randn(4, 6 // groups, kernel, generator=generator, dtype=torch.float64)
    for size, padding in ((90, dilation), (90, 0), (9, dilation), (12, 3), (10, 0)):
        geometry = Geometry((stride,), (padding,), (dilation,), groups)
        layer = Convolution(weight, None, geometry, (size,))
        units = torch.eye(6 * size, dtype=torch.float64).reshape(-1, 6, size)
        largest = float(torch.linalg.matrix_norm(layer.linear(units).flatten(1), ord=2))
        assert largest <= layer.spectral_norm()
        assert size < 90 or layer.spectral_norm() <= 1.05 * largest
        spread = TransposedConvolution(weight, None, geometry, (size // stride,), (0,))
        units = torch.eye(4 * (size // stride), dtype=torch.float64).reshape(-1, 4, size // stride)
        assert float(torch.linalg.matrix_norm(spread.linear(units).flatten(1), ord=2)) <= spread.spectral_norm()


def test_the_norm_of_a_large_convolution_has_fewer_frequencies() -> None:
    weight = torch.randn(130, 130, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for size, slack in ((2, 1.6), (16, 1.25)):
        layer = Convolution(weight, None, Geometry((1, 1), (1, 1), (1, 1), 1), (size, size))
        values = torch.randn(1, 130, size, size, dtype=torch.float64)
        for _ in range(60):
            values = layer.transposed(layer.linear(values / values.norm()))
        assert float(values.norm().sqrt()) <= layer.spectral_norm() <= slack * float(values.norm().sqrt())


@pytest.mark.parametrize("name", NAMES)
def test_executing_a_map_stays_within_its_terms(name: str) -> None:
    generator = torch.Generator().manual_seed(3)
    for layer, shape in maps(name):
        # Of very different sizes, so that sums in float32 lose much of the small ones.
        values = torch.randn(4, *shape, generator=generator) * 10 ** (4 * torch.rand(4, *shape, generator=generator))
        exact, sizes = layer(values.double()), layer.absolute(values.double().abs())
        sizes = sizes if layer.magnitude is None else sizes + layer.magnitude
        executed = layer.linear(values) if layer.shift is None else layer.linear(values) + layer.shift.float()
        assert bool(((executed.double() - exact).abs() <= gamma(layer.terms) * sizes).all())
        cotangents = torch.randn(exact.shape, generator=generator)
        back = layer.transposed(cotangents)
        absolute = vjp(layer.absolute, values.double(), cotangents.double().abs())
        difference = (back.double() - layer.transposed(cotangents.double())).abs()
        assert bool((difference <= gamma(layer.back_terms) * absolute).all())


@pytest.mark.parametrize("name", NAMES)
def test_no_more_terms_are_counted_than_there_are(name: str) -> None:
    generator = torch.Generator().manual_seed(4)
    for layer, shape in maps(name):
        marked = (torch.rand(2, *shape, generator=generator) < 0.6).float()
        units = torch.eye(shape.numel(), dtype=torch.float64).reshape(-1, *shape)
        reads = (layer.linear(units) != 0).float()
        own = torch.einsum("bi,i...->b...", marked.flatten(1), reads)
        counted = layer.counted(marked).expand(own.shape)
        assert bool((counted <= own).all())
        if isinstance(layer, Weighted):
            assert torch.equal(counted, own)
            assert float(layer.counted(torch.ones(1, *shape)).max()) <= layer.terms


def vjp(function: object, values: Tensor, cotangents: Tensor) -> Tensor:
    return torch.func.vjp(function, values)[1](cotangents)[0]  # type: ignore[arg-type]


def test_counts_by_hand() -> None:
    weight, bias = torch.ones(4, 2, 3, 3, dtype=torch.float64), torch.ones(4, dtype=torch.float64)
    geometry = Geometry((2, 2), (0, 0), (1, 1), 1)
    convolution = Convolution(weight, bias, geometry, (7, 8))
    # 18 products and a bias forwards; backwards 2 x 2 windows of 4 channels see a pixel.
    assert (convolution.terms, convolution.back_terms) == (19, 16)
    assert Convolution(weight, None, geometry, (7, 8)).terms == 18
    # A weight that float32 cannot hold is rounded once more.
    assert Convolution(weight / 3, None, geometry, (7, 8)).terms == 19
    spread = TransposedConvolution(weight, None, geometry, (3, 3), (0, 0))
    assert (spread.terms, spread.back_terms) == (16, 18)
    # Dilated by the stride, all nine kernel positions reach the same values.
    dilated = TransposedConvolution(weight, None, Geometry((2, 2), (0, 0), (2, 2), 1), (3, 3), (0, 0))
    assert dilated.terms == 36
    assert Linear(torch.ones(3, 5), torch.ones(3)).terms == 6
    assert (Reshape((2, 3), (6,)).terms, Selection(torch.tensor([1, -1, 1]), (2,)).terms) == (0, 0)
    assert Selection(torch.tensor([1, -1, 1]), (2,)).back_terms == 2
    half, third = torch.tensor(0.5), torch.tensor(1 / 3, dtype=torch.float64)
    assert [ScaleShift(*parts).terms for parts in ((half,), (half, half), (third,), (half, third))] == [1, 2, 2, 3]
    assert AlongAxes({-1: torch.full((1, 5), 0.2), -2: torch.full((1, 3), 0.5)}, 0).terms == 15 + 8


def test_a_folded_batch_norm_covers_the_one_that_ships() -> None:
    """A bias that undoes the mean leaves no shift, but what is subtracted and added rounds all the same."""
    convolution, norm = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)
    with torch.no_grad():
        norm.running_mean.fill_(3e4)
        norm.bias.copy_(norm.running_mean / torch.sqrt(norm.running_var + norm.eps))
    network = captured(nn.Sequential(convolution, norm), (3, 6, 6))
    (layer,) = [part for part in rewrite(network, torch.rand(1, 3, 6, 6)).modules() if isinstance(part, Convolution)]
    assert layer.terms == 27 + 9
    assert float(layer.magnitude.min()) > 5e4
    images = torch.rand(20, 3, 6, 6)
    with torch.no_grad():
        executed = norm.eval()(convolution(images)).double()
    missed = (executed - layer(images.double())).abs()
    sizes = layer.absolute(images.double())
    assert bool((missed <= gamma(layer.terms) * (sizes + layer.magnitude)).all())
    # Without the constants that cancel it would not be covered.
    assert bool((missed > gamma(layer.terms) * (sizes + layer.shift.abs())).any())


def test_sums_in_any_order() -> None:
    generator = torch.Generator().manual_seed(4)
    layer = Linear(torch.randn(3, 400, generator=generator).double(), torch.randn(3, generator=generator).double())
    values = torch.randn(400, generator=generator) * 10 ** (3 * torch.rand(400, generator=generator))
    exact, sizes = layer(values.double()), layer.absolute(values.double().abs()) + layer.magnitude
    for _ in range(5):
        order = torch.randperm(400, generator=generator)
        total = layer.shift.float()
        for index in order:
            total = total + layer.weight[:, index].float() * values[index]
        assert bool(((total.double() - exact).abs() <= gamma(layer.terms) * sizes).all())


def test_resizing_by_inexact_coordinates_leaves_room_beside_its_coefficients() -> None:
    def resize(values: Tensor) -> Tensor:
        return functional.interpolate(values, (16, 10), mode="bilinear", align_corners=True)

    class Resize(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return resize(images)

    network = rewrite(captured(Resize(), (1, 8, 7)), torch.rand(1, 1, 8, 7))
    (layer,) = [part for part in network.modules() if isinstance(part, AlongAxes)]
    units = torch.eye(56).reshape(56, 1, 8, 7)
    off = (layer.linear(units.double()) - resize(units).double()).abs()
    assert float(off.max()) > 0
    assert bool((off <= gamma(layer.terms) * layer.absolute(units.double())).all())
    # Each output may see inputs beside its own, a little.
    assert bool(((layer.absolute(units.double()) > 0) & (layer.linear(units.double()) == 0)).any())
    assert float((layer.absolute(torch.ones(1, 1, 8, 7).double()) - 1).max()) < 0.1


def test_exact_resizing_has_no_doubt() -> None:
    network = rewrite(captured(nn.Upsample(scale_factor=2, mode="bilinear"), (1, 4, 4)), torch.rand(1, 1, 4, 4))
    (layer,) = [part for part in network.modules() if isinstance(part, AlongAxes)]
    units = torch.eye(16).double().reshape(16, 1, 4, 4)
    assert torch.equal(layer.linear(units), layer.absolute(units))
    assert layer.terms < 20


def test_linear_maps_from_any_geometry() -> None:
    generator = torch.Generator().manual_seed(5)
    for stride, padding, dilation, size in [((1, 2), (0, 1), (1, 1), (5, 6)), ((3, 2), (2, 0), (2, 1), (11, 9))]:
        geometry = Geometry(stride, padding, dilation, 2)
        weight = torch.randn(4, 3, 2, 3, generator=generator).double()
        layer = Convolution(weight, None, geometry, size)
        values = torch.randn(2, 6, *size, generator=generator).double()
        cotangents = torch.randn(layer(values).shape, generator=generator).double()
        assert torch.allclose(layer.transposed(cotangents), vjp(layer.linear, values, cotangents), atol=1e-12)
