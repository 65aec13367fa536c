"""The smooth functions as curves."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from usncli.bounding.affine.activations.curves import Curve
from usncli.bounding.affine.activations.relaxation import Relaxation

SILU_TURN = 2.399357280515467668
"""Where f'' = 0: x tanh(x / 2) = 2. SiLU is x / 2 plus an even function, so that the other turn is opposite."""
GELU_TURN = math.sqrt(2.0)
"""Where f''(x) = (2 - x^2) phi(x) = 0."""
GELU_BY_TANH_TURN = 1.418504008790828356
"""Where, with v = 2 sqrt(2 / pi) (x + 0.044715 x^3), 2 v' + x v'' = x tanh(v / 2) v'^2."""
MISH_TURNS = (-2.256376396360793120, 1.490571179485428459)
"""Where f'' = 0, by bisection in 60 digits."""
_ROOT = 2.0 * math.sqrt(2.0 / math.pi)
_CUBIC = 0.044715


def _sigmoid_slope(values: Tensor) -> Tensor:
    return torch.sigmoid(values) * torch.sigmoid(-values)


def _tanh_slope(values: Tensor) -> Tensor:
    return 4 * _sigmoid_slope(2 * values)


def _softplus(values: Tensor) -> Tensor:
    return values.clamp(min=0) + torch.log1p(torch.exp(-values.abs()))


def _silu(values: Tensor) -> Tensor:
    return values * torch.sigmoid(values)


def _silu_slope(values: Tensor) -> Tensor:
    return torch.sigmoid(values) * (1 + values * torch.sigmoid(-values))


def _normal_share(values: Tensor) -> Tensor:
    """Return the normal distribution's function; by erfc, which keeps its relative precision far below 0."""
    return torch.erfc(values * -math.sqrt(0.5)) / 2


def _gelu(values: Tensor) -> Tensor:
    return values * _normal_share(values)


def _gelu_slope(values: Tensor) -> Tensor:
    return _normal_share(values) + values * torch.exp(-values.square() / 2) / math.sqrt(2 * math.pi)


def _exponent(values: Tensor) -> Tensor:
    return _ROOT * (values + _CUBIC * values**3)


def _gelu_by_tanh(values: Tensor) -> Tensor:
    return values * torch.sigmoid(_exponent(values))


def _gelu_by_tanh_slope(values: Tensor) -> Tensor:
    exponent = _exponent(values)
    # Beyond 40 the second term, below exp(-2^12), would be infinity times 0.
    inner = values.clamp(-40, 40)
    steepness = _ROOT * (1 + 3 * _CUBIC * inner.square())
    return torch.sigmoid(exponent) + inner * steepness * _sigmoid_slope(exponent)


def _mish_share(values: Tensor) -> Tensor:
    """Return tanh(log(1 + exp(x))) = n / (n + 2) with n = exp(x) (exp(x) + 2)."""
    small = torch.exp(-values.abs())
    return torch.where(
        values > 0, (1 + 2 * small) / (1 + 2 * small + 2 * small**2), small * (small + 2) / (small * (small + 2) + 2)
    )


def _mish(values: Tensor) -> Tensor:
    return values * _mish_share(values)


def _mish_slope(values: Tensor) -> Tensor:
    """Return t + x t', with t the share and t' = 4 e^x (e^x + 1) / (n + 2)^2."""
    small = torch.exp(-values.abs())
    above = (small**2 + small**3) / (1 + 2 * small + 2 * small**2) ** 2
    below = (small + small**2) / (small**2 + 2 * small + 2) ** 2
    return _mish_share(values) + 4 * values * torch.where(values > 0, above, below)


SIGMOID = Curve(torch.sigmoid, _sigmoid_slope, (0.0,), convex_first=True)
TANH = Curve(torch.tanh, _tanh_slope, (0.0,), convex_first=True)
EXP = Curve(torch.exp, torch.exp, (), convex_first=True)
SILU = Curve(_silu, _silu_slope, (-SILU_TURN, SILU_TURN))
GELU = Curve(_gelu, _gelu_slope, (-GELU_TURN, GELU_TURN))
GELU_BY_TANH = Curve(_gelu_by_tanh, _gelu_by_tanh_slope, (-GELU_BY_TANH_TURN, GELU_BY_TANH_TURN))
MISH = Curve(_mish, _mish_slope, MISH_TURNS)
_SOFTPLUS = Curve(_softplus, torch.sigmoid, (), convex_first=True)


def softplus(lower: Tensor, upper: Tensor, threshold: float) -> Relaxation:
    """Relax log(1 + exp(x)), which is convex; above the threshold torch takes x for it, up to exp(-threshold) less."""
    relaxation = _SOFTPLUS.relax(lower, upper)
    less = torch.where(upper > threshold, math.exp(-threshold) * (1 + 2.0**-40), 0.0)
    return relaxation._replace(radius=relaxation.radius + less)


def elu(lower: Tensor, upper: Tensor, alpha: float) -> Relaxation:
    """Relax x above 0, alpha (exp(x) - 1) below, for alpha at least 0: it is convex on either side of the kink."""

    def value(values: Tensor) -> Tensor:
        return functional.elu(values, alpha)

    def derivative(values: Tensor) -> Tensor:
        return torch.where(values > 0, 1.0, alpha * torch.exp(values.clamp(max=0)))

    # Two stretches that are both convex: the second as the far side of a turn of no length.
    return Curve(value, derivative, (0.0, 0.0), convex_first=True).relax(lower, upper)
