"""Turn a functional graph with lifted tensors into a `torch.fx.GraphModule` of standard layers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn

from usncli.loading.graph_json import is_dotted_name
from usncli.loading.layer_calls import LayerCall, recognise, state_shapes_match
from usncli.loading.layer_types import build_layer
from usncli.loading.operations import LAYER, LIFTED
from usncli.loading.shapes import remove_unused

_COUNTER = "num_batches_tracked"


class LiftedTensor(NamedTuple):
    """A parameter, buffer or constant of the user's network.

    Attributes:
        name: its fully qualified name there.
        tensor: its value.
    """

    name: str
    tensor: Tensor


class _Emitter:
    """Builds the layers of one network; a layer called twice is built once."""

    def __init__(self, graph: fx.Graph, lifted: Mapping[fx.Node, LiftedTensor]) -> None:
        self.graph = graph
        self.lifted = lifted
        self.root = nn.Module()
        self.names: dict[object, str] = {}
        self.copies: dict[int, Tensor] = {}

    def emit(self) -> fx.GraphModule:
        for node in list(self.graph.nodes):
            call = recognise(node)
            if call is not None and all(tensor in self.lifted for tensor in call.tensors.values()):
                self._replace_by_layer(node, call)
        remove_unused(self.graph)
        for node in list(self.graph.nodes):
            if node.op == "placeholder" and node.meta.get(LIFTED):
                self._replace_by_attribute(node)
        for node in self.graph.nodes:
            node.meta = {LAYER: node.meta.get(LAYER, "")}
        self.graph.lint()
        return fx.GraphModule(self.root, self.graph, class_name="CapturedNetwork")

    def _replace_by_layer(self, node: fx.Node, call: LayerCall) -> None:
        lifted = {name: self.lifted[tensor] for name, tensor in call.tensors.items()}
        key: tuple[object, ...] = (
            call.kind,
            repr(call.arguments),
            tuple((name, id(item.tensor)) for name, item in lifted.items()),
        )
        wished = _layer_of(lifted, node)
        if not lifted:
            key = (*key, wished)
        if key not in self.names:
            layer = build_layer(call.kind, call.arguments)
            tied = any(id(item.tensor) in self.copies for item in lifted.values())
            if tied or not state_shapes_match(layer, {name: item.tensor for name, item in lifted.items()}):
                return
            self.names[key] = self._add_layer(wished, self._fill(layer, lifted))
        with self.graph.inserting_before(node):
            replacement = self.graph.call_module(self.names[key], (call.input,))
        replacement.meta.update(node.meta)
        node.replace_all_uses_with(replacement)
        self.graph.erase_node(node)

    def _fill(self, layer: nn.Module, lifted: Mapping[str, LiftedTensor]) -> nn.Module:
        """Put copies of the user's tensors into a layer; batch norm's counter of batches starts at 0."""
        for name, _ in layer.named_parameters():
            setattr(layer, name, self._parameter(lifted[name].tensor))
        for name, _ in layer.named_buffers():
            layer.register_buffer(
                name, torch.zeros((), dtype=torch.long) if name == _COUNTER else self._copy(lifted[name].tensor)
            )
        return layer

    def _parameter(self, tensor: Tensor) -> nn.Parameter:
        parameter = nn.Parameter(tensor.detach().clone())
        self.copies[id(tensor)] = parameter
        return parameter

    def _copy(self, tensor: Tensor) -> Tensor:
        return self.copies.setdefault(id(tensor), tensor.detach().clone())

    def _add_layer(self, wished: str, layer: nn.Module) -> str:
        name = self._free_name(wished)
        assign(self.root, name, layer)
        return name

    def _free_name(self, wished: str) -> str:
        """Return a dotted name of identifiers or numbers that hides nothing of a GraphModule and is not taken yet."""
        parts = [re.sub(r"\W", "_", part, flags=re.ASCII) or "_" for part in wished.split(".")]
        if not is_dotted_name(".".join(parts)):
            parts = [f"user_{part}" for part in parts]
        name, count = ".".join(parts), 1
        while _exists(self.root, name):
            count += 1
            name = f"{'.'.join(parts)}_{count}"
        return name

    def _replace_by_attribute(self, node: fx.Node) -> None:
        if node.users:
            item = self.lifted[node]
            name = self.names.setdefault(("tensor", id(item.tensor)), "") or self._add_tensor(item)
            self.names["tensor", id(item.tensor)] = name
            first_call = next(other for other in self.graph.nodes if other.op not in ("placeholder", "get_attr"))
            with self.graph.inserting_before(first_call):
                replacement = self.graph.get_attr(name)
            replacement.meta.update(node.meta)
            node.replace_all_uses_with(replacement)
        self.graph.erase_node(node)

    def _add_tensor(self, item: LiftedTensor) -> str:
        known = self.copies.get(id(item.tensor))
        if known is not None:
            return next(name for name, tensor in _state(self.root) if tensor is known)
        name = self._free_name(item.name)
        tensor = self._parameter(item.tensor) if isinstance(item.tensor, nn.Parameter) else self._copy(item.tensor)
        assign(self.root, name, tensor)
        return name


def emit(graph: fx.Graph, lifted: Mapping[fx.Node, LiftedTensor]) -> fx.GraphModule:
    """Return the graph as a module of its own, with copies of all tensors that it uses.

    Calls with parameters become layers under the name of the layer that holds the parameter; a layer called twice stays
    one layer, and batch norm is a true batch norm. Other tensors become attributes under their own names.

    Args:
        graph: functional; changed in place and owned by the result. ``meta["layer"]`` names the user's layer.
        lifted: the tensor behind each placeholder that is not the input.
    """
    return _Emitter(graph, lifted).emit()


def _layer_of(lifted: Mapping[str, LiftedTensor], node: fx.Node) -> str:
    """Name a layer after the holder of its weight; after the calling layer if it holds none."""
    for role in ("weight", "running_mean"):
        if role in lifted:
            return lifted[role].name.removesuffix(f".{role}")
    return str(node.meta.get(LAYER) or node.name)


def assign(root: nn.Module, name: str, value: nn.Module | Tensor) -> None:
    """Put a layer, parameter or buffer under a dotted name, making plain modules on the way."""
    *path, last = name.split(".")
    holder = root
    for part in path:
        if not hasattr(holder, part):
            holder.add_module(part, nn.Module())
        holder = getattr(holder, part)
    if isinstance(value, (nn.Module, nn.Parameter)):
        setattr(holder, last, value)
    else:
        holder.register_buffer(last, value)


def _exists(root: nn.Module, name: str) -> bool:
    holder: Any = root
    for part in name.split("."):
        if not hasattr(holder, part):
            return False
        holder = getattr(holder, part)
    return True


def _state(root: nn.Module) -> list[tuple[str, Tensor]]:
    return [*root.named_parameters(), *root.named_buffers()]
