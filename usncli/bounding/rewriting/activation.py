"""Elementwise functions of one variable, as layers of a rewritten network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.nn import functional


class Function(StrEnum):
    """An elementwise function; its settings, where it has some, are named in brackets.

    - ``relu``: max(x, 0).
    - ``leaky relu`` [slope]: x above 0, slope x below; the slope has any sign, and may differ from channel to channel.
    - ``clamp`` [lowest, highest]: min(max(x, lowest), highest); either end may be infinite.
    - ``absolute``: x above 0, -x below.
    - ``square``: x^2.
    - ``hardsigmoid``: min(max(x + 3, 0), 6) / 6; ``hardswish``: x hardsigmoid(x).
    - ``sigmoid``: 1 / (1 + exp(-x)); ``silu``: x sigmoid(x); ``tanh``; ``exp``.
    - ``gelu``: x Phi(x), Phi the normal distribution; ``gelu by tanh``: with Phi replaced by
      (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.
    - ``softplus`` [threshold]: log(1 + exp(x)), and x above the threshold.
    - ``elu`` [alpha]: x above 0, alpha (exp(x) - 1) below.
    - ``mish``: x tanh(log(1 + exp(x))).
    """

    RELU = "relu"
    LEAKY_RELU = "leaky relu"
    CLAMP = "clamp"
    ABSOLUTE = "absolute"
    SQUARE = "square"
    HARDSIGMOID = "hardsigmoid"
    HARDSWISH = "hardswish"
    SIGMOID = "sigmoid"
    TANH = "tanh"
    EXP = "exp"
    SILU = "silu"
    GELU = "gelu"
    GELU_BY_TANH = "gelu by tanh"
    SOFTPLUS = "softplus"
    ELU = "elu"
    MISH = "mish"


def _leaky_relu(values: Tensor, slope: float | Tensor) -> Tensor:
    return torch.where(values > 0, values, slope * values)


def _clamp(values: Tensor, lowest: float, highest: float) -> Tensor:
    # Clamping to an infinite end changes nothing.
    return values.clamp(lowest, highest)


def _softplus(values: Tensor, threshold: float) -> Tensor:
    return functional.softplus(values, 1.0, threshold)


def _gelu_by_tanh(values: Tensor) -> Tensor:
    return functional.gelu(values, approximate="tanh")


EVALUATED: Mapping[Function, Callable[..., Tensor]] = {
    Function.RELU: torch.relu,
    Function.LEAKY_RELU: _leaky_relu,
    Function.CLAMP: _clamp,
    Function.ABSOLUTE: torch.abs,
    Function.SQUARE: torch.square,
    Function.HARDSIGMOID: functional.hardsigmoid,
    Function.HARDSWISH: functional.hardswish,
    Function.SIGMOID: torch.sigmoid,
    Function.TANH: torch.tanh,
    Function.EXP: torch.exp,
    Function.SILU: functional.silu,
    Function.GELU: functional.gelu,
    Function.GELU_BY_TANH: _gelu_by_tanh,
    Function.SOFTPLUS: _softplus,
    Function.ELU: functional.elu,
    Function.MISH: functional.mish,
}
"""How each function is computed; settings are keyword arguments."""


class Activation(nn.Module):
    """An elementwise function of one variable.

    Args:
        function: which.
        settings: its settings by name, see `Function`: numbers, or tensors broadcastable to the input's shape without
            its batch.
    """

    def __init__(self, function: Function, settings: Mapping[str, float | Tensor] | None = None) -> None:
        super().__init__()
        self.function = function
        self._numbers: dict[str, float] = {}
        for name, value in (settings or {}).items():
            if isinstance(value, Tensor):
                self.register_buffer(name, value)
            else:
                self._numbers[name] = value

    @property
    def settings(self) -> Mapping[str, float | Tensor]:
        """The settings by name."""
        return {**self._numbers, **dict(self.named_buffers(recurse=False))}

    def forward(self, values: Tensor) -> Tensor:
        """Return the function's values."""
        return EVALUATED[self.function](values, **self.settings)

    def extra_repr(self) -> str:
        """Name the function."""
        return str(self.function)
