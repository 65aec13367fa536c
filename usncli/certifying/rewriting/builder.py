"""Builds a network of the few operations that bound engines know.

The whole vocabulary: `nn.Conv2d`, `nn.Linear` on vectors, `LinearMap`, and between them ReLU, sum and difference of two
tensors of one shape, and concatenation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn

from usncli.certifying.rewriting.linear_maps import LinearMap, Monotone, ScaleShift

_aten = torch.ops.aten
RELU, ADD, SUBTRACT, CONCATENATE = (
    _aten.relu.default,
    _aten.add.Tensor,
    _aten.sub.Tensor,
    _aten.cat.default,
)

Affine = nn.Conv2d | nn.Linear | LinearMap
"""The layers of a rewritten network."""


class NetworkBuilder:
    """A rewritten network under construction.

    Args:
        dtype: of every constant.
        device: of every constant.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self.dtype = dtype
        self.device = device
        self._graph = fx.Graph()
        self._root = nn.Module()
        self._layer = ""
        self._count = 0
        self.input = self._graph.placeholder("images")

    def start_layer(self, name: str) -> None:
        """Attribute what is added from now on to the user's layer of that name."""
        self._layer = name

    def affine(self, values: fx.Node, layer: Affine) -> fx.Node:
        """Add an affine layer; its parameters are frozen."""
        name = f"step{self._count}"
        self._count += 1
        self._root.add_module(name, layer.requires_grad_(False))
        return self._named(self._graph.call_module(name, (values,)))

    def monotone(self, values: fx.Node, name: str, function: object) -> fx.Node:
        """Add a `Monotone` map."""
        return self.affine(values, Monotone(function, name))  # type: ignore[arg-type]

    def scale_shift(self, values: fx.Node, scale: Tensor | float = 1.0, shift: Tensor | float | None = None) -> fx.Node:
        """Add ``scale * values + shift``; numbers hold for every element."""
        return self.affine(values, ScaleShift(self.constant(scale), None if shift is None else self.constant(shift)))

    def relu(self, values: fx.Node) -> fx.Node:
        """Add a ReLU."""
        return self._call(RELU, values)

    def add(self, first: fx.Node, second: fx.Node) -> fx.Node:
        """Add the sum of two tensors of one shape."""
        return self._call(ADD, first, second)

    def subtract(self, first: fx.Node, second: fx.Node) -> fx.Node:
        """Add the difference of two tensors of one shape."""
        return self._call(SUBTRACT, first, second)

    def concatenate(self, parts: Sequence[fx.Node], dimension: int) -> fx.Node:
        """Add a concatenation along a dimension above 0."""
        return self._call(CONCATENATE, list(parts), dimension)

    def maximum(self, first: fx.Node, second: fx.Node) -> fx.Node:
        """Add the elementwise maximum: b + relu(a - b)."""
        return self.add(second, self.relu(self.subtract(first, second)))

    def at_least(self, values: fx.Node, bound: float) -> fx.Node:
        """Add max(values, bound): bound + relu(values - bound)."""
        return self._shifted(self.relu(self._shifted(values, -bound)), bound)

    def at_most(self, values: fx.Node, bound: float) -> fx.Node:
        """Add min(values, bound): bound - relu(bound - values)."""
        return self.scale_shift(self.relu(self.scale_shift(values, -1.0, bound)), -1.0, bound)

    def constant(self, value: Tensor | float) -> Tensor:
        """Return a value as a tensor of this network's dtype and device."""
        # A number goes in as float64, not as torch's default float32.
        tensor = value.detach() if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
        return tensor.to(self.device, self.dtype)

    def finish(self, output: fx.Node) -> fx.GraphModule:
        """Return the network; its output is flattened to ``(batch, outputs)``."""
        self._graph.output(self.monotone(output, "flatten", lambda values: values.flatten(1)))
        return fx.GraphModule(self._root, self._graph).eval()

    def _shifted(self, values: fx.Node, shift: float) -> fx.Node:
        return self.scale_shift(values, 1.0, shift) if shift else values

    def _call(self, target: object, *args: object) -> fx.Node:
        return self._named(self._graph.call_function(target, args))  # type: ignore[arg-type]

    def _named(self, node: fx.Node) -> fx.Node:
        node.meta["layer"] = self._layer
        return node
