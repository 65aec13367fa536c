"""Lines stand in for elementwise functions: 10,000 points of every interval, tiny and huge, around every kink."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import mpmath
import pytest
import torch
from torch import Tensor

from usncli.bounding.affine.activations import RELAXATIONS, Relaxation, execution_error, relax, smooth
from usncli.bounding.affine.activations.curves import Curve
from usncli.bounding.rewriting.activation import EVALUATED, Activation, Function

SLOPES = torch.tensor([0.2, -0.7, 1.8, 0.0], dtype=torch.float64)
WITH_SETTINGS = (Function.LEAKY_RELU, Function.CLAMP, Function.SOFTPLUS, Function.ELU)
LAYERS: Mapping[str, Activation] = {
    **{str(function): Activation(function) for function in Function if function not in WITH_SETTINGS},
    "leaky relu": Activation(Function.LEAKY_RELU, {"slope": 0.01}),
    "prelu": Activation(Function.LEAKY_RELU, {"slope": SLOPES[:, None]}),
    "clamp": Activation(Function.CLAMP, {"lowest": -0.3, "highest": 1.7}),
    "clamp below": Activation(Function.CLAMP, {"lowest": 0.1, "highest": math.inf}),
    "softplus": Activation(Function.SOFTPLUS, {"threshold": 20.0}),
    "softplus with a step": Activation(Function.SOFTPLUS, {"threshold": 2.0}),
    "elu": Activation(Function.ELU, {"alpha": 1.6}),
    "elu with a kink": Activation(Function.ELU, {"alpha": 0.3}),
}
WIDTHS = (0.0, 1e-12, 1e-6, 1e-3, 0.1, 1.0, 4.0, 20.0, 200.0)
KINKS = (-3.0, 3.0, 0.0, -0.3, 1.7, 0.1, 2.0, 20.0, *smooth.MISH_TURNS, smooth.SILU_TURN, -smooth.GELU_TURN)


def intervals(width: float) -> tuple[Tensor, Tensor]:
    """Return intervals ``(4, count)`` of one width, around every kink and elsewhere."""
    generator = torch.Generator().manual_seed(6)
    share = torch.rand(4, 2 * len(KINKS), generator=generator, dtype=torch.float64)
    lower = torch.tensor(KINKS, dtype=torch.float64).repeat(2) - width * share
    elsewhere = 5 * torch.randn(4, 12, generator=generator, dtype=torch.float64)
    lower = torch.cat([lower, elsewhere], dim=1)
    return lower, lower + width


def points(lower: Tensor, upper: Tensor, count: int) -> Tensor:
    return torch.lerp(lower, upper, torch.linspace(0, 1, count, dtype=torch.float64)[:, None, None]).clamp(lower, upper)


def residue(layer: Activation, relaxation: Relaxation, x: Tensor) -> Tensor:
    return layer(x) - (relaxation.slope.double() * x + relaxation.shift.double())


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_every_point_lies_within_the_radius(name: str, dtype: torch.dtype) -> None:
    layer = LAYERS[name]
    for width in WIDTHS:
        lower, upper = (end.to(dtype) for end in intervals(width))
        relaxation = relax(layer, lower, upper)
        assert relaxation.slope.dtype == relaxation.radius.dtype == dtype
        assert relaxation.shift.dtype == torch.float64
        assert all(part.shape == lower.shape for part in relaxation)
        x = points(lower.double(), upper.double(), 2_000 if dtype == torch.float64 else 500)
        missed = residue(layer, relaxation, x).abs().amax(dim=0)
        # Evaluating the function and the line rounds, too.
        rounding = 2.0**-50 * (1 + x.abs().amax(dim=0)) * (1 + relaxation.slope.abs() + layer(x).abs().amax(dim=0))
        overflowed = ~torch.isfinite(relaxation.radius)
        assert bool((overflowed | (missed <= relaxation.radius.double() + rounding)).all()), width
        assert not bool(overflowed.any()) or (name == "exp" and width == WIDTHS[-1])


EXACT: Mapping[str, Callable[[mpmath.mpf], mpmath.mpf]] = {
    "relu": lambda x: max(x, 0),
    "absolute": abs,
    "square": lambda x: x * x,
    "hardsigmoid": lambda x: min(max(x + 3, 0), 6) / 6,
    "hardswish": lambda x: x * min(max(x + 3, 0), 6) / 6,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "tanh": mpmath.tanh,
    "exp": mpmath.exp,
    "silu": lambda x: x / (1 + mpmath.exp(-x)),
    "gelu": lambda x: x * mpmath.erfc(-x / mpmath.sqrt(2)) / 2,
    "gelu by tanh": lambda x: (
        x / (1 + mpmath.exp(-2 * mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x**3)))
    ),
    "leaky relu": lambda x: x if x > 0 else mpmath.mpf(0.01) * x,
    "clamp": lambda x: min(max(x, mpmath.mpf(-0.3)), mpmath.mpf(1.7)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)) if x <= 20 else x,
    "elu": lambda x: x if x > 0 else mpmath.mpf(1.6) * mpmath.expm1(x),
    "mish": lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x))),
}


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_it_holds_in_exact_arithmetic(name: str, dtype: torch.dtype) -> None:
    """Intervals so narrow that rounding is all there is, against 40 digits."""
    with mpmath.workdps(40):
        for width in (0.0, 1e-14, 1e-7):
            lower, upper = (end[0].to(dtype) for end in intervals(width))
            relaxation = relax(LAYERS[name], lower, upper)
            assert bool((relaxation.radius >= 0).all())
            for low, high, slope, shift, radius in zip(lower, upper, *relaxation, strict=True):
                for x in (mpmath.mpf(float(low)), mpmath.mpf(float(high)), (mpmath.mpf(float(low)) + float(high)) / 2):
                    line = mpmath.mpf(float(slope)) * x + mpmath.mpf(float(shift))
                    assert abs(EXACT[name](x) - line) <= mpmath.mpf(float(radius)), (float(x), float(radius))


@pytest.mark.parametrize("name", LAYERS)
def test_zero_width_gives_the_value(name: str) -> None:
    lower, _ = intervals(0.0)
    lower = lower.clamp(-8, 8)
    relaxation = relax(LAYERS[name], lower, lower)
    value = LAYERS[name](lower)
    rounding = 1e-13 * (1 + lower.square()) * (1 + value.abs())
    step = torch.where(lower > 2, {"softplus with a step": 0.14, "softplus": 3e-9}.get(name, 0.0), 0.0)
    assert bool(((relaxation.slope * lower + relaxation.shift - value).abs() <= rounding + step).all())
    assert bool((relaxation.radius <= rounding + step).all())


@pytest.mark.parametrize("name", LAYERS)
def test_the_radius_is_hardly_more_than_its_slope_needs(name: str) -> None:
    for width in WIDTHS[3:]:
        lower, upper = intervals(width)
        relaxation = relax(LAYERS[name], lower, upper)
        gaps = residue(LAYERS[name], relaxation, points(lower, upper, 2_000))
        needed = (gaps.amax(dim=0) - gaps.amin(dim=0)) / 2
        allowed = 0.14 if name == "softplus with a step" else 3e-9
        excess = relaxation.radius - 1.02 * needed
        assert bool((excess <= allowed * (1 + needed) + 5e-3 * width).all()), (width, excess.max())


@pytest.mark.parametrize("name", LAYERS)
def test_narrower_intervals_never_loosen(name: str) -> None:
    for width in WIDTHS[2:]:
        lower, upper = intervals(width)
        wide = relax(LAYERS[name], lower, upper).radius
        for start, end in ((0.0, 0.5), (0.3, 0.9), (0.5, 1.0)):
            part = relax(LAYERS[name], lower + start * width, lower + end * width).radius
            assert bool((part <= wide + 1e-9 + 1e-12 * lower.square()).all()), (width, (part - wide).max())


@pytest.mark.parametrize("name", LAYERS)
def test_what_is_not_a_number_proves_nothing(name: str) -> None:
    nan, one = torch.full((4, 1), torch.nan), torch.ones(4, 1)
    for lower, upper in ((nan, one), (-one, nan), (nan, nan)):
        assert not bool((relax(LAYERS[name], lower, upper).radius < math.inf).any())


@pytest.mark.parametrize("name", LAYERS)
def test_execution_in_float32(name: str) -> None:
    layer = LAYERS[name]
    for width in (0.0, 0.1, 4.0, 20.0):
        lower, upper = (end.float() for end in intervals(width))
        x = points(lower.double(), upper.double(), 300).float().clamp(lower, upper)
        settings = {key: value.float() if isinstance(value, Tensor) else value for key, value in layer.settings.items()}
        executed = EVALUATED[layer.function](x, **settings)
        missed = (executed.double() - layer(x.double())).abs().amax(dim=0)
        allowed = execution_error(layer, lower.double(), upper.double(), 2.0**-24)
        assert bool((missed <= allowed).all()), (width, (missed - allowed).max())


def test_every_function_is_relaxed_and_tested() -> None:
    assert set(RELAXATIONS) == set(Function) == set(EVALUATED) == {layer.function for layer in LAYERS.values()}


@pytest.mark.parametrize(
    "curve", [smooth.SILU, smooth.GELU, smooth.GELU_BY_TANH, smooth.MISH, smooth.TANH, smooth.SIGMOID]
)
def test_turning_points_matter(curve: Curve) -> None:
    """A turn that is off by 1/20 gives a radius that is too small somewhere."""
    wrong = replace(curve, turns=tuple(turn + 0.05 for turn in curve.turns))
    lower = torch.linspace(-4, 4, 3001, dtype=torch.float64)
    for right, expected in ((curve, False), (wrong, True)):
        found = False
        for width in (0.02, 0.05, 0.1):
            relaxation = right.relax(lower, lower + width)
            x = lower + width * torch.linspace(0, 1, 201, dtype=torch.float64)[:, None]
            missed = (curve.value(x) - relaxation.slope * x - relaxation.shift).abs().amax(dim=0)
            found |= bool((missed > relaxation.radius).any())
        assert found == expected
