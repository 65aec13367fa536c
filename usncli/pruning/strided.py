"""Strided 1x1 convolutions, trained on a CPU as what they are: a choice of pixels, and a 1x1 convolution.

oneDNN 3.13, which torch 2.15 brings, writes beyond its buffers in the weight gradient of a strided 1x1 convolution of
less than 8 channels, where CPUs have AVX2 and channels come last in memory, as they do while we train. Narrow cut
ResNets have such layers: training them ended in a segmentation fault. Without a stride the same gradient is right.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from usncli.pruning.forwards import other_forward, own_forward


@contextmanager
def pixels_chosen_first(network: nn.Module) -> Iterator[None]:
    """Within this context strided 1x1 convolutions on a CPU choose their pixels first, where gradients are recorded."""
    with ExitStack() as stack:
        for module in network.modules():
            if isinstance(module, nn.Conv2d) and _takes_single_pixels(module):
                stack.enter_context(other_forward(module, partial(_forward, module)))
        yield


def _takes_single_pixels(layer: nn.Conv2d) -> bool:
    return layer.kernel_size == (1, 1) and layer.stride != (1, 1) and layer.padding in ((0, 0), "valid")


def _forward(layer: nn.Conv2d, inputs: Tensor) -> Tensor:
    if inputs.device.type != "cpu" or not torch.is_grad_enabled():
        return own_forward(layer, inputs)
    down, right = layer.stride
    chosen = inputs[..., ::down, ::right]
    return functional.conv2d(chosen, layer.weight, layer.bias, groups=layer.groups)
