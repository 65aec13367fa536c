"""Write reshapes so that they hold for any batch size and survive the removal of channels.

An exported graph states every size as a number, or as an expression of the batch size. Here ``view(x, [batch, 1024])``
becomes ``flatten(x, 1)``, and a split dimension states all its parts but one, which is then inferred.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from usncli.errors import UnsupportedOperationError
from usncli.loading.operations import bind, is_op, layer_name

_aten = torch.ops.aten
_RESHAPES = (
    _aten.view.default,
    _aten.reshape.default,
    _aten._unsafe_view.default,
    _aten.flatten.using_ints,
    _aten.unflatten.int,
)
_IDENTITIES = (
    _aten.alias.default,
    _aten.detach.default,
    _aten.contiguous.default,
    _aten.clone.default,
    _aten.lift_fresh.default,
    _aten.lift_fresh_copy.default,
)
_WITHOUT_EFFECT_ON_SAME_SHAPE = (*_RESHAPES, _aten.slice.Tensor, _aten.expand.default, _aten.squeeze.default)
_CONVERSIONS = (
    _aten.to.dtype,
    _aten.to.device,
    _aten.to.dtype_layout,
    _aten.to.other,
    _aten._to_copy.default,
    _aten.type_as.default,
)


def remove_identities(graph: fx.Graph) -> None:
    """Drop calls that return their first argument unchanged: copies, full slices, reshapes to the same shape."""
    for node in list(graph.nodes):
        if node.op == "call_function" and node.args and isinstance(node.args[0], fx.Node) and _is_identity(node):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)


def remove_unused(graph: fx.Graph) -> None:
    """Drop calls whose value nobody uses; assertions about sizes are among them. The graph is functional."""
    for node in reversed(list(graph.nodes)):
        if not node.users and node.op not in ("placeholder", "output"):
            graph.erase_node(node)


def make_sizes_flexible(graph: fx.Graph, images: fx.Node) -> None:
    """Rewrite reshapes and expansions, in place, so that no batch size and as few channel counts as possible remain.

    Args:
        graph: functional; nodes hold their example value in ``meta["val"]``.
        images: the network's input; its first dimension is the batch.

    Raises:
        UnsupportedOperationError: a size depends on the batch size in a way that cannot be inferred.
    """
    for node in list(graph.nodes):
        if is_op(node, *_RESHAPES):
            _rewrite_reshape(graph, node)
        elif is_op(node, _aten.expand.default):
            _rewrite_expand(node)
    _rewrite_remaining_sizes(graph, images)


def shape_of(node: fx.Node) -> tuple[Any, ...]:
    """Return the example shape of a node's value; the batch is symbolic where the network takes any batch."""
    return tuple(node.meta["val"].shape)


def _is_identity(node: fx.Node) -> bool:
    if is_op(node, *_IDENTITIES):
        return True
    source = node.args[0]
    assert isinstance(source, fx.Node)
    before, after = source.meta.get("val"), node.meta.get("val")
    if not isinstance(before, torch.Tensor) or not isinstance(after, torch.Tensor):
        return False
    if is_op(node, *_CONVERSIONS):
        return before.dtype == after.dtype
    if is_op(node, _aten.slice.Tensor) and bind(node)["step"] != 1:
        return False
    return is_op(node, *_WITHOUT_EFFECT_ON_SAME_SHAPE) and same_sizes(before.shape, after.shape)


def same_sizes(first: Sequence[Any], second: Sequence[Any]) -> bool:
    """Compare sizes, symbolic ones by their expression, without adding a guard."""
    return len(first) == len(second) and all(str(one) == str(other) for one, other in zip(first, second, strict=True))


def _is_number(size: Any) -> bool:
    return isinstance(size, int)


def _rewrite_reshape(graph: fx.Graph, node: fx.Node) -> None:
    source = node.args[0]
    assert isinstance(source, fx.Node)
    before, after = shape_of(source), shape_of(node)
    if (
        not before
        or not after
        or not same_sizes(before[:1], after[:1])
        or not all(map(_is_number, before[1:] + after[1:]))
    ):
        _rewrite_batch_reshape(node, after)
        return
    written = _written_sizes(node)
    with graph.inserting_before(node):
        result = _regroup(graph, source, before, after, written)
    for step in _steps_between(result, source):
        step.meta.update(node.meta)
    node.replace_all_uses_with(result)
    graph.erase_node(node)


def _steps_between(result: fx.Node, source: fx.Node) -> list[fx.Node]:
    steps = []
    while result is not source:
        steps.append(result)
        previous = result.args[0]
        assert isinstance(previous, fx.Node)
        result = previous
    return steps


def _written_sizes(node: fx.Node) -> Sequence[Any]:
    """Return the sizes as the user wrote them: a -1 tells which of them follows from the others."""
    bound = bind(node)
    sizes = bound.get("size", bound.get("shape"))
    return sizes if isinstance(sizes, (list, tuple)) and len(sizes) == len(shape_of(node)) else shape_of(node)


def _regroup(
    graph: fx.Graph, source: fx.Node, before: Sequence[Any], after: Sequence[Any], written: Sequence[Any]
) -> fx.Node:
    """Go from one shape to the other by merging and splitting neighbouring dimensions, from the last to the first."""
    result = source
    for (start, end), (new_start, new_end) in reversed(_matching_blocks(before, after)):
        if end - start > 1:
            result = graph.call_function(_aten.flatten.using_ints, (result, start, end - 1))
        if new_end - new_start > 1:
            sizes = list(after[new_start:new_end])
            sizes[_inferred_index(sizes, written[new_start:new_end], len(before))] = -1
            result = graph.call_function(_aten.unflatten.int, (result, start, sizes))
        elif new_end == new_start:
            result = graph.call_function(_aten.squeeze.dim, (result, start))
        elif end == start:
            result = graph.call_function(_aten.unsqueeze.default, (result, start))
    return result


def _matching_blocks(before: Sequence[Any], after: Sequence[Any]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Pair the smallest runs of dimensions, behind the batch, that hold equally many elements.

    Dimensions of size 1 at the end of either shape belong to the last run.
    """
    blocks: list[tuple[tuple[int, int], tuple[int, int]]] = []
    start = new_start = 1
    while start < len(before) and new_start < len(after):
        end, new_end = start + 1, new_start + 1
        count, new_count = before[start], after[new_start]
        while count != new_count:
            if count < new_count:
                count *= before[end]
                end += 1
            else:
                new_count *= after[new_end]
                new_end += 1
        blocks.append(((start, end), (new_start, new_end)))
        start, new_start = end, new_end
    if blocks:
        (start, _), (new_start, _) = blocks.pop()
        blocks.append(((start, len(before)), (new_start, len(after))))
        return blocks
    ones = range(max(len(before), len(after)) - 1)
    return [((1, 2), (1, 1)) if len(before) > len(after) else ((1, 1), (1, 2)) for _ in ones]


def _inferred_index(sizes: Sequence[int], written: Sequence[Any], dimensions: int) -> int:
    """Which part of a split dimension is left to be inferred, since it follows the number of channels.

    It is the one that the user wrote as -1. Else: a flat vector splits into channels first; channels of a map, or of a
    token, split into a fixed number of groups or heads first, and into channels and a square factor otherwise.
    """
    wished = [index for index, size in enumerate(written) if isinstance(size, int) and size == -1]
    if wished:
        return wished[0]
    real = [index for index, size in enumerate(sizes) if size != 1] or [0]
    return real[1] if len(real) == 2 and dimensions > 2 else real[0]


def _rewrite_batch_reshape(node: fx.Node, after: Sequence[Any]) -> None:
    """Reshape that moves elements into or out of the batch: state the numbers, infer the symbolic size."""
    sizes = [size if _is_number(size) else -1 for size in after]
    if sizes.count(-1) > 1:
        raise UnsupportedOperationError(
            f"{layer_name(node)} reshapes to a size that depends on the batch in two places; keep the batch as the "
            "first dimension",
            [layer_name(node)],
        )
    node.target = _aten.reshape.default
    node.args = (node.args[0], sizes)
    node.kwargs = {}


def _rewrite_expand(node: fx.Node) -> None:
    source = node.args[0]
    assert isinstance(source, fx.Node)
    before, after = shape_of(source), shape_of(node)
    padded = (None,) * (len(after) - len(before)) + before
    written = bind(node)["size"]
    sizes = [
        -1 if old is not None and str(old) == str(new) else size
        for old, new, size in zip(padded, after, written, strict=True)
    ]
    node.args = (source, sizes)


def _rewrite_remaining_sizes(graph: fx.Graph, images: fx.Node) -> None:
    """Keep one ``sym_size(images, 0)`` for uses of the batch size that are left, and refuse other expressions."""
    remove_unused(graph)
    batch = images.meta["val"].shape[0]
    kept: fx.Node | None = None
    for node in list(graph.nodes):
        value = node.meta.get("val")
        if node.op != "call_function" or not isinstance(value, (torch.SymInt, torch.SymBool, torch.SymFloat)):
            continue
        if not isinstance(value, torch.SymInt) or str(value) != str(batch):
            users = [user for user in node.users if isinstance(user.meta.get("val"), torch.Tensor)]
            name = layer_name(users[0] if users else node)
            raise UnsupportedOperationError(
                f"{name} computes with the batch size ({value}), which cannot be captured; use -1 for that size",
                [name],
            )
        if kept is None:
            with graph.inserting_after(images):
                kept = graph.call_function(_aten.sym_size.int, (images, 0))
            kept.meta.update(node.meta)
        node.replace_all_uses_with(kept)
        graph.erase_node(node)
