"""Masks: a channel is cut when every parameter that makes it, and every one that consumes it, is zero.

What makes a channel: its rows of convolutions and linear layers, their biases, its batch-norm weight and bias. What
consumes it: its columns in every later layer; with those at zero it does not matter that an activation may turn 0 into
something else (a sigmoid's 1/2). So a masked network computes exactly what the cut network computes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from usncli.pruning.channel_axes import channel_axes
from usncli.scoring.groups import DependencyGroup

Masks = Mapping[str, Tensor]
"""For every group's name, ``(channels,)`` bool: True where the channel is cut."""


class TensorSlices(NamedTuple):
    """What is cut from one tensor of one layer, along one axis.

    Attributes:
        layer, tensor: names of the layer and of its attribute.
        axis: dimension.
        trained: whether the tensor is a parameter (else a running statistic).
        indices: increasing indices along the axis.
    """

    layer: str
    tensor: str
    axis: int
    trained: bool
    indices: tuple[int, ...]


def no_masks(groups: Iterable[DependencyGroup]) -> dict[str, Tensor]:
    """Return masks that cut nothing."""
    return {group.name: torch.zeros(group.channels, dtype=torch.bool) for group in groups}


def join_masks(first: Masks, second: Masks) -> dict[str, Tensor]:
    """Return masks that cut what either cuts: once masked, a channel stays masked."""
    return {name: first[name] | second[name] for name in first}


def masked_share(masks: Masks) -> float:
    """Return the share of all prunable channels that is cut, 0 where there is none."""
    total = sum(mask.numel() for mask in masks.values())
    return sum(int(mask.sum()) for mask in masks.values()) / total if total else 0.0


def cut_slices(network: nn.Module, groups: Sequence[DependencyGroup], masks: Masks) -> tuple[TensorSlices, ...]:
    """Return everything that the masks cut, joined a tensor and axis.

    Args:
        network: the network that the groups describe.
        groups: dependency groups.
        masks: which of their channels are cut.

    Raises:
        UnsupportedOperationError: a layer's channels cannot be cut one by one.
    """
    found: dict[tuple[str, str, int, bool], set[int]] = defaultdict(set)
    for group in groups:
        cut = masks[group.name].nonzero().flatten().tolist()
        for member in group.members if cut else ():
            indices = {index for channel in cut for index in member.indices[channel]}
            layer = network.get_submodule(member.module)
            for tensor, axis, trained in channel_axes(member.module, layer, member.side):
                found[member.module, tensor, axis, trained] |= indices
    return tuple(TensorSlices(*where, tuple(sorted(indices))) for where, indices in found.items())


class ChannelMasker:
    """The masks of one network during training, and what keeps them applied.

    Args:
        network: any module; its parameters are changed in place.
        groups: its dependency groups.
    """

    def __init__(self, network: nn.Module, groups: Sequence[DependencyGroup]) -> None:
        self.network, self.groups = network, tuple(groups)
        self.masks: dict[str, Tensor] = no_masks(groups)
        self._slices: list[tuple[Tensor, int, Tensor]] = []

    def extend(self, masks: Masks) -> None:
        """Mask these channels too, and set their parameters to zero."""
        self.masks = join_masks(self.masks, {name: mask.cpu() for name, mask in masks.items()})
        self._slices = []
        for part in cut_slices(self.network, self.groups, self.masks):
            if part.trained:
                tensor = getattr(self.network.get_submodule(part.layer), part.tensor)
                self._slices.append((tensor, part.axis, torch.tensor(part.indices, device=tensor.device)))
        self.apply()

    @torch.no_grad()
    def apply(self) -> None:
        """Set the parameters of every masked channel to zero, in place."""
        for tensor, axis, indices in self._slices:
            tensor.index_fill_(axis, indices, 0.0)
