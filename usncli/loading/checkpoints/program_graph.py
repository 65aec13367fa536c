"""The JSON of an exported program as a functional graph, with every operation looked up in a closed table."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import fx
from torch._ops import OpOverload

from usncli.errors import InputError, UnsupportedOperationError
from usncli.loading.checkpoints.program_archive import DTYPES, ProgramArchive
from usncli.loading.emission import LiftedTensor
from usncli.loading.graph_passes import LiftedGraph
from usncli.loading.operations import LAYER, LIFTED, find_convertible

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_SIZE_ARITHMETIC: Mapping[str, Callable[..., Any]] = {
    "_operator.add": operator.add,
    "_operator.sub": operator.sub,
    "_operator.mul": operator.mul,
    "_operator.floordiv": operator.floordiv,
    "_operator.mod": operator.mod,
    "_operator.neg": operator.neg,
}
_LITERALS = frozenset(("as_int", "as_ints", "as_float", "as_floats", "as_bool", "as_bools", "as_string"))
_WITHOUT_EFFECT = frozenset(("as_device", "as_layout", "as_memory_format"))
_TENSOR_NAMES = {"parameter": "parameter_name", "buffer": "buffer_name", "tensor_constant": "tensor_constant_name"}


def program_to_graph(archive: ProgramArchive) -> tuple[LiftedGraph, tuple[int, ...]]:
    """Build the graph of an exported program.

    Returns:
        The graph without example values, and the shape of its input as it was exported, ``(batch, channels, height,
        width)``; the batch is -1 where any is allowed.

    Raises:
        InputError: the JSON does not describe a program.
        UnsupportedOperationError: the program holds an operation or value that cannot be captured.
    """
    try:
        return _Reader(archive).read()
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        raise InputError(f"its program cannot be read ({type(error).__name__}: {error})") from error


class _Reader:
    """Builds one graph; knows the nodes made so far by the program's names."""

    def __init__(self, archive: ProgramArchive) -> None:
        self.description = archive.program["graph_module"]
        self.tensors = archive.tensors
        self.graph = fx.Graph()
        self.values: dict[str, fx.Node] = {}
        self.lifted: dict[fx.Node, LiftedTensor] = {}

    def read(self) -> tuple[LiftedGraph, tuple[int, ...]]:
        graph, signature = self.description["graph"], self.description["signature"]
        name = self._read_inputs(signature["input_specs"])
        for entry in graph["nodes"]:
            self._read_node(entry)
        outputs = [spec["user_output"]["arg"] for spec in signature["output_specs"] if "user_output" in spec]
        if len(outputs) != 1 or "as_tensor" not in outputs[0]:
            raise UnsupportedOperationError(f"the program returns {len(outputs)} values; expected one tensor")
        self.graph.output(self.values[outputs[0]["as_tensor"]["name"]])
        sizes = graph["tensor_values"][name]["sizes"]
        source = LiftedGraph(self.graph, self.lifted, self.values[name])
        return source, tuple(int(size.get("as_int", -1)) for size in sizes)

    def _read_inputs(self, specifications: Sequence[Mapping[str, Any]]) -> str:
        """Make a node for every input, and return the program's name of the images; a node's name may be another."""
        inputs: list[str] = []
        for specification in specifications:
            ((kind, content),) = specification.items()
            if kind == "user_input":
                inputs.append(content["arg"]["as_tensor"]["name"])
                self._placeholder(inputs[-1])
            elif kind in _TENSOR_NAMES:
                node = self._placeholder(content["arg"]["name"])
                name = str(content[_TENSOR_NAMES[kind]])
                tensor = self.tensors[name]
                node.meta[LIFTED] = True
                is_parameter = kind == "parameter" and tensor.is_floating_point()
                self.lifted[node] = LiftedTensor(name, torch.nn.Parameter(tensor) if is_parameter else tensor)
            else:
                raise UnsupportedOperationError(f"the program takes a {kind}; expected one tensor")
        if len(inputs) != 1:
            raise UnsupportedOperationError(f"the program takes {len(inputs)} inputs; expected one tensor")
        return inputs[0]

    def _placeholder(self, name: str) -> fx.Node:
        node = self.graph.placeholder(_identifier(name))
        self.values[name] = node
        return node

    def _read_node(self, entry: Mapping[str, Any]) -> None:
        outputs = entry["outputs"]
        if not outputs:  # assertions about sizes and types
            return
        layer = _layer(entry.get("metadata", {}).get("nn_module_stack", ""))
        node = self._call(str(entry["target"]), entry["inputs"], layer)
        node.meta[LAYER] = layer
        names = _output_names(outputs)
        if names is None:
            self.values[_single_name(outputs[0])] = node
            return
        for index, name in enumerate(names):
            item = self.graph.call_function(operator.getitem, (node, index))
            item.meta[LAYER] = layer
            self.values[name] = item

    def _call(self, target: str, inputs: Sequence[Mapping[str, Any]], layer: str) -> fx.Node:
        if target in _SIZE_ARITHMETIC:
            values = [self._value(item["arg"]) for item in inputs]
            return self.graph.call_function(_SIZE_ARITHMETIC[target], tuple(values))
        overload = find_convertible(target.removeprefix("torch.ops.aten.")) if target.startswith("torch.ops.") else None
        if overload is None:
            name = f"{layer or 'forward'} ({target[:60]})"
            raise UnsupportedOperationError(f"{name} cannot be captured; replace it in the network", [name])
        given = {str(item["name"]): item["arg"] for item in inputs if not _WITHOUT_EFFECT & set(item["arg"])}
        return self.graph.call_function(overload, *_arguments(overload, given, self._value))

    def _value(self, argument: Mapping[str, Any]) -> Any:
        ((kind, value),) = argument.items()
        if kind in _LITERALS:
            return value
        if kind == "as_none":
            return None
        if kind in ("as_tensor", "as_sym_int", "as_optional_tensor"):
            return self._reference(value)
        if kind in ("as_tensors", "as_sym_ints", "as_optional_tensors"):
            return [self._reference(item) for item in value]
        if kind == "as_scalar_type":
            return DTYPES[value]
        raise UnsupportedOperationError(f"the program passes a value of kind {kind[:40]}, which cannot be captured")

    def _reference(self, value: Mapping[str, Any]) -> Any:
        if "as_int" in value:
            return int(value["as_int"])
        if "as_none" in value:
            return None
        if "as_tensor" in value:
            return self.values[value["as_tensor"]["name"]]
        return self.values[value["as_name"] if "as_name" in value else value["name"]]


def _arguments(
    overload: OpOverload, given: Mapping[str, Any], read: Callable[[Any], Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    schema = {argument.name: argument for argument in overload._schema.arguments}
    unknown = sorted(set(given) - set(schema))
    if unknown:
        raise InputError(f"its program calls {overload} with an argument {unknown[0][:40]!r} that it does not have")
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for position, (name, argument) in enumerate(schema.items()):
        if name in given and not argument.kwarg_only and position == len(args):
            args.append(read(given[name]))
        elif name in given:
            kwargs[name] = read(given[name])
    return tuple(args), kwargs


def _output_names(outputs: Sequence[Mapping[str, Any]]) -> list[str] | None:
    """Return the names of a call's several results, or None if it has one."""
    if len(outputs) > 1:
        return [_single_name(output) for output in outputs]
    tensors = outputs[0].get("as_tensors")
    return None if tensors is None else [str(tensor["name"]) for tensor in tensors]


def _single_name(output: Mapping[str, Any]) -> str:
    ((kind, value),) = output.items()
    if kind not in ("as_tensor", "as_sym_int"):
        raise UnsupportedOperationError(f"the program computes a value of kind {kind[:40]}, which cannot be captured")
    return str(value["name"] if "name" in value else value["as_name"])


def _identifier(name: str) -> str:
    """Names end up in generated code, so nothing but an identifier passes."""
    if not _IDENTIFIER.fullmatch(name):
        raise InputError(f"its program has an input of the bad name {name[:60]!r}")
    return name


def _layer(stack: str) -> str:
    """Return the innermost layer of ``key,name,class;key,name,class``."""
    parts = stack.rsplit(";", 1)[-1].split(",")
    return parts[1] if len(parts) > 1 and not parts[1].startswith("_empty_nn_module_stack") else ""
