"""Layers that compute otherwise while a network trains, under the names and classes that all else knows them by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def training_forward(module: nn.Module, forward: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Within this context a module in training mode runs ``forward``; in evaluation mode it runs its own."""

    def choose(inputs: Tensor) -> Tensor:
        result: Tensor = forward(inputs) if module.training else own_forward(module, inputs)
        return result

    vars(module)["forward"] = choose
    try:
        yield
    finally:
        del vars(module)["forward"]


def forget_training_forwards(network: nn.Module) -> None:
    """Let a copy of a network that trains run as its classes say: `training_forward` is about the original's layers."""
    for module in network.modules():
        vars(module).pop("forward", None)


def own_forward(module: nn.Module, inputs: Tensor) -> Tensor:
    """Run a module as its class says."""
    result: Tensor = type(module).forward(module, inputs)
    return result
