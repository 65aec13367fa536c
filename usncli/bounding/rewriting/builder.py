"""Builds a network of the operations that bound engines know.

Its nodes are ``call_module`` of a `LinearMap`, an `Activation`, and in the full vocabulary a `Product` or a
`MaximumOverWindows`; and ``call_function`` of a sum or difference of two tensors of one shape, or of a concatenation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

import torch
from torch import Tensor, fx, nn

from usncli.bounding.rewriting.activation import Activation, Function
from usncli.bounding.rewriting.combining import MaximumOverWindows, Product
from usncli.bounding.rewriting.expansion import EXPANSIONS, maximum_over_windows
from usncli.bounding.rewriting.linear_maps import LinearMap, Reshape, ScaleShift, Selection
from usncli.bounding.rewriting.vocabulary import OWN_ENGINE, CannotRewriteError, Vocabulary

_aten = torch.ops.aten
ADD, SUBTRACT, CONCATENATE = (
    _aten.add.Tensor,
    _aten.sub.Tensor,
    _aten.cat.default,
)


class NetworkBuilder:
    """A rewritten network under construction; it is built in float64 on the CPU.

    Args:
        vocabulary: what the network may hold.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._graph = fx.Graph()
        self._root = nn.Module()
        self._layer = ""
        self._count = 0
        self.input = self._graph.placeholder("images")

    def start_layer(self, name: str) -> None:
        """Attribute what is added from now on to the user's layer of that name."""
        self._layer = name

    def affine(self, values: fx.Node, layer: LinearMap) -> fx.Node:
        """Add an affine map."""
        return self._module(layer, values)

    def reshape(self, values: fx.Node, before: Sequence[int], after: Sequence[int]) -> fx.Node:
        """Add a change of shape; both shapes are without the batch."""
        return values if tuple(before) == tuple(after) else self.affine(values, Reshape(before, after))

    def select(self, values: fx.Node, shape: Sequence[int], function: Callable[[Tensor], Tensor]) -> fx.Node:
        """Add a map each of whose outputs is an input or 0, given as a function of ``(1, *shape)``."""
        numbers = torch.arange(1.0, 1 + prod(shape), dtype=torch.float64).reshape(1, *shape)
        index = function(numbers)[0].long() - 1
        return self.affine(values, Selection(index, shape))

    def broadcast(self, values: fx.Node, before: Sequence[int], after: Sequence[int]) -> fx.Node:
        """Add repetition along axes of size 1, and axes in front; both shapes are without the batch."""
        if tuple(before) == tuple(after):
            return values
        before = (*[1] * (len(after) - len(before)), *before)
        return self.select(values, before, lambda tensor: tensor.expand(-1, *after))

    def scale_shift(self, values: fx.Node, scale: Tensor | float = 1.0, shift: Tensor | float | None = None) -> fx.Node:
        """Add ``scale * values + shift``; numbers hold for every element."""
        return self.affine(values, ScaleShift(self.constant(scale), None if shift is None else self.constant(shift)))

    def activation(
        self, values: fx.Node, function: Function, settings: Mapping[str, float | Tensor] | None = None
    ) -> fx.Node:
        """Add an elementwise function, or its expansion into ReLUs.

        Raises:
            CannotRewriteError: it has none, and the vocabulary is ReLU's.
        """
        if self.vocabulary is Vocabulary.FULL or function is Function.RELU:
            return self._module(Activation(function, settings), values)
        if function not in EXPANSIONS:
            raise CannotRewriteError(f"{function} is no exact combination of ReLUs", OWN_ENGINE)
        return EXPANSIONS[function](self, values, **(settings or {}))

    def relu(self, values: fx.Node) -> fx.Node:
        """Add a ReLU."""
        return self.activation(values, Function.RELU)

    def maximum(self, first: fx.Node, second: fx.Node) -> fx.Node:
        """Add the elementwise maximum: b + relu(a - b)."""
        return self.add(second, self.relu(self.subtract(first, second)))

    def maximum_over_windows(self, values: fx.Node, indices: Sequence[Tensor], shape: Sequence[int]) -> fx.Node:
        """Add the maximum over windows of the last two axes.

        Args:
            values: ``(batch, *shape)``.
            indices: which rows, and which columns, each output sees, ``(window, outputs)`` each.
            shape: without the batch.
        """
        if self.vocabulary is Vocabulary.RELU:
            return maximum_over_windows(self, values, indices, shape)
        rows, columns = indices
        return self._module(MaximumOverWindows(rows, columns, shape[-1]), values)

    def product(self, first: fx.Node, second: fx.Node) -> fx.Node:
        """Add the product of two tensors that both depend on the image; see `Product`.

        Raises:
            CannotRewriteError: the vocabulary is ReLU's.
        """
        if self.vocabulary is Vocabulary.RELU:
            raise CannotRewriteError("a product of two tensors that both depend on the image", OWN_ENGINE)
        return self._module(Product(), first, second)

    def add(self, first: fx.Node, second: fx.Node) -> fx.Node:
        """Add the sum of two tensors of one shape."""
        return self._call(ADD, first, second)

    def subtract(self, first: fx.Node, second: fx.Node) -> fx.Node:
        """Add the difference of two tensors of one shape."""
        return self._call(SUBTRACT, first, second)

    def concatenate(self, parts: Sequence[fx.Node], dimension: int) -> fx.Node:
        """Add a concatenation along a dimension above 0."""
        return self._call(CONCATENATE, list(parts), dimension)

    def constant(self, value: Tensor | float) -> Tensor:
        """Return a value as a tensor of float64."""
        return value.detach().double() if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)

    def finish(self, output: fx.Node, shape: Sequence[int]) -> fx.GraphModule:
        """Return the network; its output, of a shape without its batch, is flattened to ``(batch, outputs)``."""
        self._graph.output(self.reshape(output, shape, (prod(shape),)))
        return fx.GraphModule(self._root, self._graph).eval().requires_grad_(False)

    def _module(self, layer: nn.Module, *sources: fx.Node) -> fx.Node:
        name = f"step{self._count}"
        self._count += 1
        self._root.add_module(name, layer)
        return self._named(self._graph.call_module(name, sources))

    def _call(self, target: object, *args: object) -> fx.Node:
        return self._named(self._graph.call_function(target, args))  # type: ignore[arg-type]

    def _named(self, node: fx.Node) -> fx.Node:
        node.meta["layer"] = self._layer
        return node
