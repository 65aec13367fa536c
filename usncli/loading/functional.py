"""Turn calls that change a tensor in place into calls that return a new one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import fx
from torch._ops import OpOverload

from usncli.errors import UnsupportedOperationError
from usncli.loading.operations import LIFTED, bind, is_op, layer_name

_aten = torch.ops.aten
_SAME_VALUE = (
    _aten.dropout.default,
    _aten.feature_dropout.default,
    _aten.alpha_dropout.default,
    _aten.alias.default,
    _aten.detach.default,
    _aten.contiguous.default,
)
"""In evaluation these return their argument itself, so a later change of one is a change of the other."""


def functionalise(graph: fx.Graph) -> None:
    """Replace in-place calls (``relu_``, ``add_``) by functional ones and redirect later uses, in place in ``graph``.

    Raises:
        UnsupportedOperationError: a changed tensor is seen through a view that is used afterwards, or the call has no
            functional form.
    """
    for node in list(graph.nodes):
        changed = changed_argument(node)
        if changed is not None:
            _make_functional(graph, node, changed)


def changed_argument(node: fx.Node) -> fx.Node | None:
    """Return the node that a call writes to, or None."""
    if node.op != "call_function" or not isinstance(node.target, OpOverload):
        return None
    for position, argument in enumerate(node.target._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = node.args[position] if position < len(node.args) else node.kwargs.get(argument.name)
            return value if isinstance(value, fx.Node) else None
    return None


def _make_functional(graph: fx.Graph, node: fx.Node, changed: fx.Node) -> None:
    same, views = _aliases(changed)
    position = {other: index for index, other in enumerate(graph.nodes)}
    later = [alias for alias in views if any(position[user] > position[node] for user in alias.users)]
    if later or changed.op == "get_attr" or _is_lifted(changed):
        what = "a part of a tensor that is used again" if later else "a parameter or buffer"
        raise UnsupportedOperationError(
            f"{layer_name(node)} changes {what} in place, which cannot be captured; "
            "write the layer with an operation that returns a new tensor",
            [layer_name(node)],
        )
    node.target = _functional_overload(node)
    for alias in same:
        alias.replace_all_uses_with(
            node, delete_user_cb=lambda user: user is not node and position[user] > position[node]
        )


def _functional_overload(node: fx.Node) -> OpOverload:
    target = cast(OpOverload, node.target)
    packet = getattr(_aten, target._opname.removesuffix("_"), None)
    if not target._opname.endswith("_") or packet is None or target._overloadname not in packet.overloads():
        raise UnsupportedOperationError(
            f"{layer_name(node)} has no form without a change in place; replace it in the network", [layer_name(node)]
        )
    return cast(OpOverload, getattr(packet, target._overloadname))


def _aliases(node: fx.Node) -> tuple[set[fx.Node], set[fx.Node]]:
    """Return the nodes that are the same tensor as ``node`` (itself included), and those that view a part of it."""
    same, views = {node}, set[fx.Node]()
    pending = [(node, True)]
    seen = {node}
    while pending:
        current, is_same = pending.pop()
        for neighbour, keeps in _storage_neighbours(current):
            if neighbour in seen:
                continue
            seen.add(neighbour)
            (same if is_same and keeps else views).add(neighbour)
            pending.append((neighbour, is_same and keeps))
    return same, views


def _storage_neighbours(node: fx.Node) -> Iterator[tuple[fx.Node, bool]]:
    """Yield the nodes that share storage with ``node`` directly, each with whether it is the very same tensor."""
    for user in node.users:
        if _viewed(user) is node:
            yield user, _is_same(user)
    source = _viewed(node)
    if source is not None:
        yield source, _is_same(node)


def _viewed(node: fx.Node) -> fx.Node | None:
    """Return the tensor whose storage the result of a call may share, or None."""
    if node.op != "call_function" or not node.args or not isinstance(node.args[0], fx.Node):
        return None
    if _is_same(node):
        return node.args[0]
    if not isinstance(node.target, OpOverload):
        return node.args[0]  # getitem of a list of views
    aliases = [argument.alias_info for argument in node.target._schema.arguments]
    return node.args[0] if aliases and aliases[0] is not None and not aliases[0].is_write else None


def _is_same(node: fx.Node) -> bool:
    return is_op(node, *_SAME_VALUE) and not bind(node).get("train", False)


def _is_lifted(node: fx.Node) -> bool:
    return node.op == "placeholder" and bool(node.meta.get(LIFTED))
