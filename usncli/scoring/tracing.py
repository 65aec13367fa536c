"""A private copy of a network with torch-pruning's dependency graph of it.

Everything that is specific to torch-pruning (1.6) is here, in `coupling` and in `cut_check`.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn


@dataclass(frozen=True)
class TracedNetwork:
    """A copy on the CPU, in evaluation mode, that may be changed at will.

    Attributes:
        network: the copy.
        example: its input, at most two images.
        graph: torch-pruning's ``DependencyGraph`` of the copy.
        names: module -> name, in network order (the order of ``named_modules``).
    """

    network: nn.Module
    example: Tensor
    graph: Any
    names: dict[nn.Module, str]


def trace(network: nn.Module, example: Tensor) -> TracedNetwork:
    """Copy a network and trace the copy; the network itself, its mode and its gradients stay as they are.

    Args:
        network: any module whose outputs autograd can follow back to its layers.
        example: an input, ``(batch, channels, height, width)``.
    """
    duplicate = copy.deepcopy(network).cpu().eval()
    for parameter in duplicate.parameters():
        parameter.requires_grad_(True)  # torch-pruning walks the autograd graph, which frozen layers would not join
        parameter.grad = None
    images = example[:2].detach().cpu()
    with torch.enable_grad():
        graph = torch_pruning.DependencyGraph().build_dependency(duplicate, [images], verbose=False)
    return TracedNetwork(duplicate, images, graph, {module: name for name, module in duplicate.named_modules()})


def run(traced: TracedNetwork, images: Tensor) -> list[Tensor]:
    """Return the network's outputs as a flat list."""
    with torch.no_grad():
        outputs: list[Tensor] = torch_pruning.utils.flatten_as_list(traced.network(images))
    return outputs


def is_depthwise(module: nn.Module) -> bool:
    """Whether a convolution maps each channel to one channel of its own."""
    return isinstance(module, nn.modules.conv._ConvNd) and (
        module.groups == module.in_channels == module.out_channels and module.groups > 1
    )


def is_producer(module: nn.Module) -> bool:
    """Whether a module makes channels that can be cut: a convolution or a linear layer."""
    return isinstance(module, nn.modules.conv._ConvNd | nn.Linear)
