"""One operation of a captured network, as a rewriting rule sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn

from usncli.bounding.rewriting.builder import NetworkBuilder
from usncli.bounding.rewriting.vocabulary import APART, CannotRewriteError

Value = fx.Node | Tensor | float | int | bool | None | list[Any] | tuple[Any, ...]
"""An argument: a node of the new network, a constant tensor, or what the overload's schema takes."""


class Call(NamedTuple):
    """An operation to rewrite.

    Attributes:
        builder: the new network.
        arguments: by schema name; tensors that depend on the image are nodes of the new network.
        examples: the concrete value of every tensor argument, for shapes; dimension 0 is the batch.
        result: the operation's concrete value on the example: a tensor or several.
        layer: the module, for ``call_module`` nodes; its input is ``arguments["input"]``.
    """

    builder: NetworkBuilder
    arguments: Mapping[str, Any]
    examples: Mapping[str, Any]
    result: Any
    layer: nn.Module | None = None

    def node(self, name: str) -> fx.Node:
        """Return an argument that depends on the image.

        Raises:
            CannotRewriteError: it does not.
        """
        value = self.arguments[name]
        if not isinstance(value, fx.Node):
            raise CannotRewriteError(
                f"expected {name} to depend on the image",
                "compute what does not depend on the image once, and keep it as a buffer",
            )
        return value

    def number(self, name: str) -> float:
        """Return a plain number.

        Raises:
            CannotRewriteError: it is something else.
        """
        value = self.arguments[name]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise CannotRewriteError(f"expected {name} to be a number", f"write {name} as a number")
        return float(value)

    def constant(self, name: str) -> Tensor:
        """Return a constant without its batch dimension, broadcastable to the result's shape without its batch.

        Raises:
            CannotRewriteError: it depends on the image, or differs from image to image.
        """
        value = self.arguments[name]
        if isinstance(value, fx.Node):
            raise CannotRewriteError(f"{name} depends on the image", f"make {name} a constant")
        tensor = self.builder.constant(value)
        return same_for_all(tensor) if tensor.dim() == self.result.dim() else tensor

    def shape(self, name: str = "self") -> torch.Size:
        """Return a tensor argument's shape, its batch dimension included."""
        example: Tensor = self.examples[name]
        return example.shape

    def broadcast(self, name: str) -> fx.Node:
        """Return an argument that depends on the image, broadcast to the result's shape.

        Raises:
            CannotRewriteError: it does not depend on the image, or its images would meet another axis.
        """
        node, shape = self.node(name), self.shape(name)
        if len(shape) != self.result.dim() or shape[0] != self.result.shape[0]:
            raise CannotRewriteError(f"{name} is broadcast across the batch", APART)
        return self.builder.broadcast(node, shape[1:], self.result.shape[1:])


def same_for_all(constant: Tensor) -> Tensor:
    """Return a constant with a batch dimension without it.

    Raises:
        CannotRewriteError: it differs from image to image.
    """
    if not bool((constant == constant[:1]).all()):
        raise CannotRewriteError("a constant differs from image to image of a batch", APART)
    return constant[0]
