"""Take masked channels out for real: a smaller network with the same graph.

A captured network holds no channel count as a constant (`usncli.loading.shapes`), so that cutting the slices that a
group names is all there is to do; `usncli.scoring.cut_check` has tried it on each group.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from usncli.errors import UnsupportedOperationError
from usncli.pruning.channel_axes import update_sizes
from usncli.pruning.forwards import forget_training_forwards
from usncli.pruning.masks import Masks, TensorSlices, cut_slices
from usncli.scoring.groups import DependencyGroup

NetworkType = TypeVar("NetworkType", bound=nn.Module)

TOLERANCE = 1e-4
"""Largest difference between masked and cut outputs that is accepted, relative to the largest output (at least 1)."""


def cut(network: NetworkType, groups: Sequence[DependencyGroup], masks: Masks, example: Tensor) -> NetworkType:
    """Remove the masked channels of every group from a copy of the network.

    Args:
        network: its masked channels are zero (`ChannelMasker`); only its mode changes, to eval.
        groups: its dependency groups.
        masks: which of their channels go.
        example: normalised images ``(batch, channels, height, width)``, on which both networks are compared.

    Returns:
        A smaller network in eval mode; its outputs are those of ``network`` up to rounding.

    Raises:
        UnsupportedOperationError: a layer or an operation does not allow its channels to be taken out, or the outputs
            differ.
    """
    network = network.eval()
    smaller = copy.deepcopy(network)
    forget_training_forwards(smaller)
    slices = cut_slices(network, groups, masks)
    for part in slices:
        _remove(smaller, part)
    for name in {part.layer for part in slices}:
        update_sizes(smaller.get_submodule(name))
    _compare(network, smaller, example)
    return smaller


def _remove(network: nn.Module, part: TensorSlices) -> None:
    layer = network.get_submodule(part.layer)
    tensor = getattr(layer, part.tensor)
    stays = torch.ones(tensor.shape[part.axis], dtype=torch.bool)
    stays[list(part.indices)] = False
    smaller = tensor.detach().index_select(part.axis, stays.nonzero().flatten().to(tensor.device)).clone()
    setattr(layer, part.tensor, nn.Parameter(smaller, tensor.requires_grad) if part.trained else smaller)


@torch.no_grad()
def _compare(masked: nn.Module, smaller: nn.Module, example: Tensor) -> None:
    expected, came = masked(example), smaller(example)
    difference = (expected - came).abs().max().item()
    if not difference <= TOLERANCE * max(1.0, expected.abs().max().item()):
        raise UnsupportedOperationError(
            f"cutting: expected the cut network to compute what the masked one does, got outputs {difference:.3g} "
            "apart; an operation mixes channels in a way that is not understood: leave layers out with --exclude"
        )
