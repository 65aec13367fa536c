"""How large and how costly a network is."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from usncli.loading.pipeline import Pipeline
from usncli.pruning.masks import Masks, cut_slices
from usncli.scoring.groups import DependencyGroup
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


def measure_complexity(pipeline: Pipeline) -> Complexity:
    """Count a network's parameters, and its multiply-adds on one image of its input size.

    Args:
        pipeline: left in the mode it was in.
    """
    network = pipeline.network
    multiply_adds = sum(
        times * network.get_parameter(f"{layer}.weight").numel() for layer, times in weight_uses(pipeline).items()
    )
    return Complexity(sum(parameter.numel() for parameter in network.parameters()), multiply_adds)


class MaskedComplexity:
    """Size and cost of a network without what masks cut, from the shapes of its layers: what cutting will leave.

    Args:
        pipeline: the network, nothing of it cut out yet; left as it is.
        groups: its dependency groups.
    """

    def __init__(self, pipeline: Pipeline, groups: Sequence[DependencyGroup]) -> None:
        self.network, self.groups = pipeline.network, tuple(groups)
        self.whole = measure_complexity(pipeline)
        self._uses = weight_uses(pipeline)

    def __call__(self, masks: Masks) -> Complexity:
        """Return what is left.

        Raises:
            UnsupportedOperationError: a layer's channels cannot be cut one by one.
        """
        left: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
        for part in cut_slices(self.network, self.groups, masks):
            if part.trained:
                width = getattr(self.network.get_submodule(part.layer), part.tensor).shape[part.axis]
                left[part.layer, part.tensor][part.axis] = width - len(part.indices)
        parameters, multiply_adds = self.whole
        for (layer, tensor), widths in left.items():
            shape = getattr(self.network.get_submodule(layer), tensor).shape
            gone = math.prod(shape) - math.prod(widths.get(axis, width) for axis, width in enumerate(shape))
            parameters -= gone
            multiply_adds -= gone * (self._uses.get(layer, 0) if tensor == "weight" else 0)
        return Complexity(parameters, multiply_adds)


@torch.no_grad()
def weight_uses(pipeline: Pipeline) -> dict[str, int]:
    """Return, for every convolution and linear layer, how often each of its weights is multiplied for one image.

    A kernel is laid at every output position, a transposed one at every input position. Cutting channels does not
    change it.

    Args:
        pipeline: left in the mode it was in.
    """
    network = pipeline.network
    names: dict[nn.Module, str] = {
        layer: name for name, layer in network.named_modules() if isinstance(layer, Convolution | nn.Linear)
    }
    uses = dict.fromkeys(names.values(), 0)

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        uses[names[layer]] += _positions(layer, inputs[0], output)

    hooks = [layer.register_forward_hook(count) for layer in names]
    try:
        with evaluating(pipeline):
            pipeline(pipeline.mean.new_zeros(1, *pipeline.preprocessing.input_shape))
    finally:
        for hook in hooks:
            hook.remove()
    return uses


def _positions(layer: nn.Module, inputs: Tensor, output: Tensor) -> int:
    if isinstance(layer, nn.Linear):
        return output.numel() // layer.out_features
    assert isinstance(layer, Convolution)
    placed = inputs if layer.transposed else output
    return placed.numel() // placed.shape[1]
