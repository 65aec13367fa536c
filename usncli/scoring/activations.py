"""Reading the activations of chosen layers during a forward pass, by hooks that are always taken off again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, fx, nn

ActivationReader = Callable[[str, Tensor], Tensor | None]
"""Takes a layer's name and output; what it returns, if anything, goes on through the network in the output's place."""


def with_clean(images: Tensor, perturbed: Tensor) -> Tensor:
    """Put every image in front of its perturbed versions, as one batch for the network.

    Args:
        images: ``(batch, channels, height, width)``.
        perturbed: ``(batch * samples, channels, height, width)``, the samples of one image side by side, as
            `Perturbation.expand` returns them.

    Returns:
        ``(batch * (1 + samples), channels, height, width)``: image 0, its samples, image 1, its samples, ...
    """
    samples = perturbed.reshape(images.shape[0], -1, *images.shape[1:])
    return torch.cat([images.unsqueeze(1), samples], dim=1).flatten(0, 1)


def split_clean(activations: Tensor, images: int) -> tuple[Tensor, Tensor]:
    """Undo `with_clean` on a layer's activations.

    Args:
        activations: ``(images * (1 + samples), channels, ...)``.
        images: number of images.

    Returns:
        Clean activations ``(images, channels, ...)`` and perturbed ones ``(images, samples, channels, ...)``; views.
    """
    grouped = activations.reshape(images, -1, *activations.shape[1:])
    return grouped[:, 0], grouped[:, 1:]


@contextmanager
def reading_activations(network: nn.Module, layers: Iterable[str], reader: ActivationReader) -> Iterator[None]:
    """Hand the output of each named layer to a reader, at once when the layer has run.

    Args:
        network: the network whose layers are read.
        layers: names of modules.
        reader: called with the layer's name and its output, channels second: ``(batch, channels, ...)``. It must not
            keep the output longer than it needs: a later in-place operation may overwrite it. What it returns, if
            anything, is of the same shape.
    """
    with ExitStack() as hooks:
        for name in layers:
            hooks.callback(network.get_submodule(name).register_forward_hook(_hook(name, reader)).remove)
        yield


@contextmanager
def record_activations(network: nn.Module, layer_names: Iterable[str]) -> Iterator[dict[str, Tensor]]:
    """Collect the outputs of named layers, with their gradients, for losses on activations.

    A layer that runs several times keeps its last output. Outside a captured network, whose operations all leave their
    inputs alone, outputs are copied, so that an in-place operation behind a layer does not change what is recorded.

    Args:
        network: the network.
        layer_names: names of modules.

    Yields:
        A dictionary that every forward pass fills: name -> ``(batch, channels, ...)``, channels second.
    """
    recorded: dict[str, Tensor] = {}
    captured = isinstance(network, fx.GraphModule)

    def keep(name: str, output: Tensor) -> None:
        recorded[name] = output if captured else output.clone()

    with reading_activations(network, layer_names, keep):
        yield recorded


def _hook(name: str, reader: ActivationReader) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor | None]:
    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        channels_last = isinstance(module, nn.Linear) and output.dim() > 2
        found = reader(name, output.movedim(-1, 1) if channels_last else output)
        return found.movedim(1, -1) if channels_last and found is not None else found

    return hook
