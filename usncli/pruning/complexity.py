"""How large and how costly a network is."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from usncli.loading.pipeline import Pipeline
from usncli.scoring.streaming import evaluating

Convolution = nn.modules.conv._ConvNd


class Complexity(NamedTuple):
    """Size and cost of a network.

    Attributes:
        parameters: trained numbers.
        multiply_adds: multiplications (each with an addition) of convolutions and linear layers, for one image.
    """

    parameters: int
    multiply_adds: int


@torch.no_grad()
def measure_complexity(pipeline: Pipeline) -> Complexity:
    """Count a network's parameters, and its multiply-adds on one image of its input size.

    Args:
        pipeline: left in the mode it was in.
    """
    network = pipeline.network
    counted: list[int] = []

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        counted.append(_multiply_adds(layer, inputs[0], output))

    counting = [layer for layer in network.modules() if isinstance(layer, Convolution | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in counting]
    try:
        with evaluating(pipeline):
            pipeline(pipeline.mean.new_zeros(1, *pipeline.preprocessing.input_shape))
    finally:
        for hook in hooks:
            hook.remove()
    return Complexity(sum(parameter.numel() for parameter in network.parameters()), sum(counted))


def _multiply_adds(layer: nn.Module, inputs: Tensor, output: Tensor) -> int:
    if isinstance(layer, nn.Linear):
        return output.numel() * layer.in_features
    assert isinstance(layer, Convolution)
    placed = inputs if layer.transposed else output  # a transposed kernel is laid at every input position
    positions = placed.numel() // placed.shape[1]
    kernel = math.prod(layer.kernel_size) * layer.in_channels * layer.out_channels // layer.groups
    return positions * kernel
