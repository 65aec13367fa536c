"""The graph being built while an ONNX file is read: constants are computed at once, the rest becomes calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, fx
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensorMode

from usncli.errors import UnsupportedOperationError
from usncli.loading.emission import LiftedTensor
from usncli.loading.graph_passes import LiftedGraph
from usncli.loading.operations import LAYER, LIFTED

_aten = torch.ops.aten

BATCH = 9973
"""Stands for the batch size while shapes are computed: a prime that no layer has as a size."""

Value = fx.Node | Tensor
"""What an ONNX name stands for: a call that depends on the images, or a constant."""


class OnnxCall(NamedTuple):
    """One node of an ONNX graph with its inputs looked up.

    Attributes:
        operation: operator name, such as ``Conv``.
        layer: the node's name as far as it names a layer; for messages and layer names.
        inputs: values by position; None where left out.
        names: ONNX names of the inputs.
        attributes: Python values by name.
        opset: version of the operator set.
        outputs: number of results that are used by name.
    """

    operation: str
    layer: str
    inputs: tuple[Value | None, ...]
    names: tuple[str, ...]
    attributes: Mapping[str, Any]
    opset: int
    outputs: int

    def input(self, index: int) -> Value:
        """Return a required input."""
        value = self.optional(index)
        if value is None:
            raise self.unsupported(f"without its input {index}")
        return value

    def optional(self, index: int) -> Value | None:
        """Return an input or None where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def constant(self, index: int) -> Tensor | None:
        """Return an input that must be a constant, or None where it is left out."""
        value = self.optional(index)
        if isinstance(value, fx.Node):
            raise self.unsupported("with a size or range that is computed from the image")
        return value

    def integers(self, index: int, attribute: str | None = None) -> list[int] | None:
        """Return whole numbers given as an attribute (older opsets) or as a constant input."""
        if attribute is not None and attribute in self.attributes:
            given = self.attributes[attribute]
            return [int(item) for item in given] if isinstance(given, Sequence) else [int(given)]
        value = self.constant(index)
        return None if value is None else [int(item) for item in value.reshape(-1).tolist()]

    def unsupported(self, how: str) -> UnsupportedOperationError:
        """Return the error that says how this call is used in a way that cannot be captured."""
        name = f"{self.layer or 'graph'} ({self.operation})"
        return UnsupportedOperationError(f"{name} is used {how}, which cannot be captured", [name])


class Builder:
    """Builds the graph of one ONNX file."""

    def __init__(self, input_shape: tuple[int, ...]) -> None:
        self.graph = fx.Graph()
        self.lifted: dict[fx.Node, LiftedTensor] = {}
        self.layer = ""
        self._mode = FakeTensorMode()
        self.images = self.graph.placeholder("images")
        self._placeholders: dict[int, fx.Node] = {}
        self._keep: list[Tensor] = []
        self._names: dict[int, str] = {}
        with self._mode:
            self.images.meta["val"] = torch.empty((BATCH, *input_shape))
        self.size = self.graph.call_function(_aten.sym_size.int, (self.images, 0))
        self.size.meta["val"] = BATCH

    def finish(self, output: fx.Node) -> LiftedGraph:
        """Return the graph that computes ``output``; example values are still to be propagated."""
        self.graph.output(output)
        return LiftedGraph(self.graph, self.lifted, self.images)

    def call(self, overload: OpOverload, *args: Any) -> Value:
        """Call an overload: at once if all tensors are constants, else as a node of the graph."""
        if not any(isinstance(value, fx.Node) for value in _flatten(args)):
            with torch.no_grad():
                return cast(Tensor, overload(*args))
        return self.node(overload, *fx.node.map_aggregate(args, self._as_node))

    def node(self, overload: Any, *args: Any) -> fx.Node:
        """Add a node; every tensor among the arguments is a node already."""
        node = self.graph.call_function(overload, args)
        node.meta[LAYER] = self.layer
        examples = fx.map_arg(args, lambda argument: argument.meta["val"])
        try:
            with self._mode, torch.no_grad():
                node.meta["val"] = overload(*examples)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            line = next(iter(str(error).splitlines()), "")
            raise UnsupportedOperationError(
                f"{self.layer or 'graph'} does not run ({line[:160]})", [self.layer]
            ) from error
        return node

    def sized(self, overload: OpOverload, value: Value, sizes: Sequence[int]) -> Value:
        """Reshape or expand to sizes, in which `BATCH` stands for the batch size and stays free."""
        if not isinstance(value, fx.Node) and BATCH not in sizes:
            return self.call(overload, value, list(sizes))
        flexible = [self.size if size == BATCH else size for size in sizes]
        return self.node(overload, self._as_node(value), flexible)

    def lift(self, name: str, tensor: Tensor) -> fx.Node:
        """Return the placeholder of a constant tensor, under a name of its own."""
        known = self._placeholders.get(id(tensor))
        if known is not None:
            return known
        with self.graph.inserting_before(self.images):
            node = self.graph.placeholder(f"tensor_{len(self.lifted)}")
        with self._mode:
            node.meta["val"] = torch.empty(tensor.shape, dtype=tensor.dtype)
        node.meta[LIFTED] = True
        self.lifted[node] = LiftedTensor(name, tensor)
        self._placeholders[id(tensor)] = node
        self._keep.append(tensor)  # so that no other tensor gets its identity
        return node

    def remember(self, name: str, tensor: Tensor) -> Tensor:
        """Keep the name that a stored tensor has in the file."""
        self._names[id(tensor)] = name
        self._keep.append(tensor)
        return tensor

    def _as_node(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return self.lift(self._names.get(id(value), f"constants.value_{len(self.lifted)}"), value)


def shape(value: Value) -> tuple[int, ...]:
    """Return the shape of a value; its batch is `BATCH`."""
    return tuple(value.meta["val"].shape) if isinstance(value, fx.Node) else tuple(value.shape)


def _flatten(args: Any) -> list[Any]:
    return [leaf for item in args for leaf in (_flatten(item) if isinstance(item, (list, tuple)) else [item])]
