"""What a rewritten network is in exact arithmetic, and what executions of it in float32 make of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx

from usncli.bounding.affine.enclosure import Enclosure
from usncli.bounding.rewriting.activation import Activation, Function
from usncli.bounding.rewriting.builder import ADD, CONCATENATE, SUBTRACT
from usncli.bounding.rewriting.combining import MaximumOverWindows, Product
from usncli.bounding.rewriting.linear_maps import LinearMap

Exact = NDArray[np.object_]
"""Numbers as fractions."""

_THREE, _SIX = Fraction(3), Fraction(6)


def exactly(values: Tensor | float) -> Exact:
    """Return the fractions that floating-point numbers are."""
    array = torch.as_tensor(values, dtype=torch.float64).numpy()
    return np.array([Fraction(float(value)) for value in array.reshape(-1)], dtype=object).reshape(array.shape)


def _clamp(x: Exact, lowest: float, highest: float) -> Exact:
    return np.array([min(max(value, lowest), highest) for value in x.reshape(-1)], dtype=object).reshape(x.shape)


def _leaky_relu(x: Exact, slope: float | Tensor) -> Exact:
    scaled = x * exactly(slope)
    return np.where(x > 0, x, scaled)


FUNCTIONS: Mapping[Function, Callable[..., Exact]] = {
    Function.RELU: lambda x: _clamp(x, Fraction(0), np.inf),
    Function.LEAKY_RELU: _leaky_relu,
    Function.CLAMP: lambda x, lowest, highest: _clamp(
        x,
        Fraction(lowest) if np.isfinite(lowest) else lowest,
        Fraction(highest) if np.isfinite(highest) else highest,
    ),
    Function.ABSOLUTE: abs,
    Function.SQUARE: lambda x: x * x,
    Function.HARDSIGMOID: lambda x: _clamp(x + _THREE, Fraction(0), _SIX) / _SIX,
    Function.HARDSWISH: lambda x: x * _clamp(x + _THREE, Fraction(0), _SIX) / _SIX,
}
"""The functions whose values are fractions."""


def exact_values(network: fx.GraphModule, image: Exact) -> dict[str, Exact]:
    """Return every node's exact value for one image, by name."""
    values: dict[str, Exact] = {}
    for node in network.graph.nodes:
        if node.op == "placeholder":
            values[node.name] = image
        elif node.op != "output":
            inputs = fx.node.map_arg(node.args, lambda source: values[source.name])
            values[node.name] = _exact(_layer(network, node), node.target, inputs)
    return values


def _layer(network: fx.GraphModule, node: fx.Node) -> object:
    return network.get_submodule(str(node.target)) if node.op == "call_module" else None


def _exact(layer: object, target: object, inputs: tuple[Exact, ...]) -> Exact:
    if isinstance(layer, LinearMap):
        matrix, shift, shape = dense_map(layer, inputs[0].shape)
        return (exactly(matrix).dot(inputs[0].reshape(-1)) + exactly(shift)).reshape(shape)
    if isinstance(layer, Activation):
        return FUNCTIONS[layer.function](inputs[0], **layer.settings)
    return _combined(layer, target, inputs)


def _combined(layer: object, target: object, inputs: tuple[Exact, ...]) -> Exact:
    """Combine values, fractions or float32, none of which but a product and a sum rounds."""
    if isinstance(layer, Product) or target in (ADD, SUBTRACT):
        first, second = inputs
        return first * second if isinstance(layer, Product) else first + second if target is ADD else first - second
    if isinstance(layer, MaximumOverWindows):
        flat = inputs[0].reshape(*inputs[0].shape[:-2], -1)
        best = flat[..., layer.windows.numpy()].max(axis=-2)
        return best.reshape(*best.shape[:-1], *layer.output_sizes)
    assert target is CONCATENATE
    parts, dimension = inputs
    return np.concatenate(parts, axis=dimension - 1)


def dense_map(layer: LinearMap, shape: tuple[int, ...]) -> tuple[Tensor, Tensor, torch.Size]:
    """Return a map's matrix and shift, flat, in float64, and the shape of its result."""
    size = int(np.prod(shape))
    columns = layer.linear(torch.eye(size, dtype=torch.float64).reshape(size, *shape))
    shift = torch.zeros(columns.shape[1:]).double() if layer.shift is None else layer.shift.expand(columns.shape[1:])
    return columns.reshape(size, -1).T, shift.reshape(-1), columns.shape[1:]


def summed_in_some_order(
    network: fx.GraphModule, image: NDArray[np.float32], order: np.random.Generator
) -> dict[str, NDArray[np.float32]]:
    """Execute a network in float32, every sum term by term in an order of its own, and return its nodes by name.

    Activations are computed as torch does.
    """
    values: dict[str, NDArray[np.float32]] = {}
    for node in network.graph.nodes:
        if node.op == "placeholder":
            values[node.name] = image
        elif node.op != "output":
            layer, inputs = _layer(network, node), fx.node.map_arg(node.args, lambda source: values[source.name])
            if isinstance(layer, LinearMap):
                values[node.name] = _summed(layer, inputs[0], order)
            elif isinstance(layer, Activation):
                single = copy.deepcopy(layer).float()
                values[node.name] = single(torch.from_numpy(inputs[0].copy()).unsqueeze(0))[0].numpy()
            else:
                values[node.name] = _combined(layer, node.target, inputs)
    return values


def _summed(layer: LinearMap, x: NDArray[np.float32], order: np.random.Generator) -> NDArray[np.float32]:
    matrix, shift, shape = dense_map(layer, x.shape)
    products = matrix.float().numpy() * x.reshape(1, -1)
    terms = np.concatenate([products, shift.float().numpy()[:, None]], axis=1)
    shuffled = order.permuted(terms, axis=1)
    return np.cumsum(shuffled, axis=1, dtype=np.float32)[:, -1].reshape(shape)


def outside(given: Enclosure, piece: int, t: Exact, values: Exact) -> bool:
    """Say whether an exact value ``(*shape)`` lies outside an enclosure, by however little, at the t it belongs to.

    Directions beyond t are anywhere in [-1, 1].
    """
    slopes, known = exactly(given.slopes[piece]), min(len(t), given.slopes.shape[1])
    line, room = exactly(given.centre[piece]), exactly(given.radius[piece])
    for direction in range(known):
        line = line + slopes[direction] * t[direction]
    for direction in range(known, len(slopes)):
        room = room + abs(slopes[direction])
    return bool((abs(values - line) > room).any())
