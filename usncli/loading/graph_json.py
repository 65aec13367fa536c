"""A captured network's graph as JSON, and back, with every name looked up in a closed table.

Reading is safe for files of unknown origin: an operation is found only among the permitted overloads, a layer only in
`layer_types`, and no text of the file reaches the code that `torch.fx` generates unless it is a plain identifier.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast

import torch
from torch import fx, nn
from torch._ops import OpOverload

from usncli.errors import InputError, UnsupportedOperationError
from usncli.loading.operations import LAYER, find_overload, is_permitted, layer_name, short_name

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_DOTTED_NAME = re.compile(r"\w+(\.\w+)*", re.ASCII)
_KINDS = {"input": "placeholder", "layer": "call_module", "tensor": "get_attr", "call": "call_function"}
_GETITEM = "getitem"
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_NAMED_VALUES: Mapping[str, Mapping[str, Any]] = {
    "dtype": {
        str(dtype).removeprefix("torch."): dtype
        for dtype in (*_FLOATS, torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
    },
    "float": {"inf": float("inf"), "-inf": float("-inf"), "nan": float("nan")},
    "layout": {"strided": torch.strided},
    "memory_format": {
        "contiguous_format": torch.contiguous_format,
        "preserve_format": torch.preserve_format,
        "channels_last": torch.channels_last,
    },
}


def graph_to_json(graph: fx.Graph) -> list[dict[str, Any]]:
    """Return the nodes of a captured network's graph, in order, as JSON values.

    Raises:
        UnsupportedOperationError: a node calls what no captured network holds.
    """
    kinds = {op: kind for kind, op in _KINDS.items()}
    return [
        {
            "name": node.name,
            "kind": kinds.get(node.op, "output"),
            "target": _target_to_json(node),
            "args": _value_to_json(node, node.args),
            "kwargs": {name: _value_to_json(node, value) for name, value in node.kwargs.items()},
            LAYER: str(node.meta.get(LAYER) or ""),
        }
        for node in graph.nodes
    ]


def graph_from_json(nodes: Sequence[Mapping[str, Any]]) -> fx.Graph:
    """Build the graph that `graph_to_json` wrote.

    Raises:
        InputError: an operation or value is unknown, or the nodes do not form a graph with one input and one output.
    """
    graph = fx.Graph()
    known: dict[str, fx.Node] = {}
    for entry in nodes:
        node = _node_from_json(graph, entry, known)
        node.meta[LAYER] = str(entry.get(LAYER, ""))
        known[str(entry["name"])] = node
    ops = [node.op for node in graph.nodes]
    if ops.count("placeholder") != 1 or ops.count("output") != 1 or ops[-1] != "output":
        raise InputError("its graph has not one input and one output")
    return graph


def is_dotted_name(name: str) -> bool:
    """Say whether a layer or tensor may have this name in a captured network: it hides nothing of a module."""
    first, *rest = name.split(".")
    of_network, of_layer = _taken_names()
    return bool(_DOTTED_NAME.fullmatch(name)) and first not in of_network and not of_layer & set(rest)


@cache
def _taken_names() -> tuple[frozenset[str], frozenset[str]]:
    """Return the names of a GraphModule's attributes, and of a plain module's."""
    module = nn.Module()
    return frozenset(dir(fx.GraphModule(module, fx.Graph()))), frozenset(dir(module))


def _target_to_json(node: fx.Node) -> str:
    if node.op != "call_function":
        return str(node.target)
    if node.target is operator.getitem:
        return _GETITEM
    if not is_permitted(node.target):
        raise UnsupportedOperationError(
            f"{layer_name(node)} is no operation that a saved network may hold", [layer_name(node)]
        )
    return short_name(cast(OpOverload, node.target))


def _value_to_json(node: fx.Node, value: Any) -> Any:
    if isinstance(value, fx.Node):
        return {"node": value.name}
    if isinstance(value, (list, tuple)):
        return [_value_to_json(node, item) for item in value]
    if isinstance(value, float) and value not in (float("inf"), float("-inf")) and value == value:
        return value
    if value is None or isinstance(value, (bool, int, str)):
        return value
    for kind, table in _NAMED_VALUES.items():
        for name, known in table.items():
            if type(value) is type(known) and (value == known or str(value) == name):
                return {kind: name}
    raise UnsupportedOperationError(
        f"{layer_name(node)} has an argument that cannot be saved: {value!r}", [layer_name(node)]
    )


def _node_from_json(graph: fx.Graph, entry: Mapping[str, Any], known: Mapping[str, fx.Node]) -> fx.Node:
    kind, name, target = entry["kind"], entry["name"], entry["target"]
    if not isinstance(name, str) or not _IDENTIFIER.fullmatch(name) or name in known:
        raise InputError(f"its graph has a node of bad or double name {str(name)[:60]!r}")
    args = tuple(_value_from_json(value, known) for value in entry["args"])
    kwargs = {str(key): _value_from_json(value, known) for key, value in entry["kwargs"].items()}
    if kind == "output":
        if len(args) != 1 or not isinstance(args[0], fx.Node):
            raise InputError("its graph does not return one value")
        return cast(fx.Node, graph.output(args[0]))
    if kind == "input":
        return graph.placeholder(name)
    if kind == "call":
        return graph.create_node("call_function", _find_target(target, args, kwargs), args, kwargs, name)
    if kind not in _KINDS or not isinstance(target, str) or not is_dotted_name(target):
        raise InputError(f"its graph has an unknown node: {kind} {str(target)[:60]!r}")
    if kind == "tensor":
        return graph.create_node("get_attr", target, name=name)
    if len(args) != 1 or kwargs:
        raise InputError(f"its layer {target} is called with {len(args)} arguments; expected one")
    return graph.create_node("call_module", target, args, {}, name)


def _find_target(name: object, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    if name == _GETITEM:
        if len(args) == 2 and isinstance(args[0], fx.Node) and isinstance(args[1], int) and not kwargs:
            return operator.getitem
        raise InputError("its graph takes an item by something else than a number")
    overload = find_overload(name) if isinstance(name, str) else None
    if overload is None:
        raise InputError(f"its graph calls {str(name)[:60]!r}, which is not among the operations of a captured network")
    names = {argument.name for argument in overload._schema.arguments}
    if len(args) > len(names) or not set(kwargs) <= names:
        raise InputError(f"its graph calls {name} with arguments that it does not have")
    return overload


def _value_from_json(value: Any, known: Mapping[str, fx.Node]) -> Any:
    if isinstance(value, list):
        return [_value_from_json(item, known) for item in value]
    if not isinstance(value, dict):
        return value
    kind, name = next(iter(value.items())) if len(value) == 1 else ("", "")
    found = known.get(str(name)) if kind == "node" else _NAMED_VALUES.get(kind, {}).get(str(name))
    if found is None:
        raise InputError(f"its graph holds an unknown value {str(value)[:60]}")
    return found
