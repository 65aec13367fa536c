"""Layers that compute otherwise while a network trains, under the names and classes that all else knows them by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def training_forward(module: nn.Module, forward: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Within this context a module in training mode runs ``forward``; in evaluation mode it runs its own."""

    def choose(inputs: Tensor) -> Tensor:
        return forward(inputs) if module.training else own_forward(module, inputs)

    with other_forward(module, choose):
        yield


@contextmanager
def other_forward(module: nn.Module, forward: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Within this context a module runs ``forward`` in every mode; contexts may lie in each other."""
    before = vars(module).get("forward")
    vars(module)["forward"] = forward
    try:
        yield
    finally:
        if before is None:
            del vars(module)["forward"]
        else:
            vars(module)["forward"] = before


def forget_training_forwards(network: nn.Module) -> None:
    """Let a copy of a network that trains run as its classes say: `training_forward` is about the original's layers."""
    for module in network.modules():
        vars(module).pop("forward", None)


def own_forward(module: nn.Module, inputs: Tensor) -> Tensor:
    """Run a module as its class says."""
    result: Tensor = type(module).forward(module, inputs)
    return result
