"""One operation of a captured network, as a rewriting rule sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn

from usncli.certifying.rewriting.builder import NetworkBuilder

Value = fx.Node | Tensor | float | int | bool | None | list[Any] | tuple[Any, ...]
"""An argument: a node of the new network, a constant tensor, or what the overload's schema takes."""


class CannotRewriteError(Exception):
    """Raised by a rule, with the reason, for an operation that it cannot write exactly."""


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
            raise CannotRewriteError(f"expected {name} to depend on the image")
        return value

    def number(self, name: str) -> float:
        """Return a plain number.

        Raises:
            CannotRewriteError: it is something else.
        """
        value = self.arguments[name]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise CannotRewriteError(f"expected {name} to be a number")
        return float(value)

    def constant(self, name: str) -> Tensor:
        """Return a constant without its batch dimension, broadcastable to the result's shape without its batch.

        Raises:
            CannotRewriteError: it depends on the image, or differs from image to image.
        """
        value = self.arguments[name]
        if isinstance(value, fx.Node):
            raise CannotRewriteError(f"{name} depends on the image")
        tensor = value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
        if tensor.dim() == self.result.dim():
            if tensor.shape[0] != 1:
                raise CannotRewriteError(f"{name} has a batch dimension of {tensor.shape[0]}")
            tensor = tensor[0]
        return self.builder.constant(tensor)

    def shape(self, name: str = "self") -> torch.Size:
        """Return a tensor argument's shape, its batch dimension included."""
        example: Tensor = self.examples[name]
        return example.shape

    def unchanged_shape(self, name: str) -> bool:
        """Say whether the result has the shape of an argument."""
        return bool(self.shape(name) == self.result.shape)
