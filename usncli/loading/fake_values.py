"""Example values for a graph, with a symbolic batch: what `torch.export` would have recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx

from usncli.errors import UnsupportedOperationError
from usncli.loading.operations import layer_name


def propagate(
    graph: fx.Graph, tensors: Mapping[fx.Node, Tensor], images: fx.Node, shape: tuple[int, ...], *, any_batch: bool
) -> None:
    """Compute ``meta["val"]`` of every node on tensors without storage; nothing is computed for real.

    Args:
        graph: calls of overloads alone.
        tensors: the value of each placeholder but ``images``.
        images: the input.
        shape: an example shape of the input; with ``any_batch`` its first size becomes a symbol.
        any_batch: whether the batch is symbolic.

    Raises:
        UnsupportedOperationError: a call cannot run on these shapes, or not for any batch size.
    """
    # Imported here: they bring sympy and the compiler, seconds that most commands need not spend.
    from torch._dispatch.python import enable_python_dispatcher
    from torch._dynamo.source import ConstantSource
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext

    mode = FakeTensorMode(shape_env=ShapeEnv())
    first = DimDynamic.DYNAMIC if any_batch else DimDynamic.STATIC
    sizes = [first, *[DimDynamic.STATIC] * (len(shape) - 1)]
    context: Any = StatelessSymbolicContext(dynamic_sizes=sizes)
    images.meta["val"] = mode.from_tensor(torch.zeros(shape), source=ConstantSource("images"), symbolic_context=context)
    for node, tensor in tensors.items():
        node.meta["val"] = mode.from_tensor(tensor.detach(), static_shapes=True)
    # The dispatcher in Python keeps the batch a symbol in shape rules where those in C++ compare it to a number.
    with mode, enable_python_dispatcher(), torch.no_grad():
        for node in graph.nodes:
            if node.op == "call_function":
                node.meta["val"] = _call(node)


def has_any_batch(images: fx.Node) -> bool:
    """Say whether the first size of the input's example value is still a free symbol."""
    size = images.meta["val"].shape[0]
    return isinstance(size, torch.SymInt) and not size.node.expr.is_number


def _call(node: fx.Node) -> Any:
    args, kwargs = fx.map_arg((node.args, node.kwargs), lambda argument: argument.meta["val"])
    try:
        return node.target(*args, **kwargs)  # type: ignore[operator]
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        line = next(iter(str(error).splitlines()), "")
        raise UnsupportedOperationError(
            f"{layer_name(node)} does not run ({type(error).__name__}: {line[:160]})", [layer_name(node)]
        ) from error
