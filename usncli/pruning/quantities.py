"""What a ratio is a share of: channels, parameters, multiply-adds, or what else masks take away."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from usncli.pruning.complexity import Complexity, MaskedComplexity
from usncli.pruning.masks import Masks, masked_share
from usncli.scoring.groups import DependencyGroup
from usncli.scoring.selection import kept_channels


class Quantity(ABC):
    """Something of which masks take a share away."""

    @abstractmethod
    def removed(self, masks: Masks) -> float:
        """Return the share that the masks take away, in [0, 1]; more masks never take less."""

    def goal(self, share: float) -> float:
        """Return the share to be removed where one in [0, 1) is asked for, in what can be cut."""
        return share

    def channel_share(self, share: float) -> float:
        """Return about which share of all prunable channels goes with a share of the quantity."""
        return share

    def reachable(self, floor: float) -> float:
        """Return the largest share that a floor allows, as far as the shapes of layers tell; else 1.

        Args:
            floor: share of each group's channels that stays, in (0, 1].
        """
        return 1.0

    def measure(self, step: int, masks: Masks) -> None:  # noqa: B027
        """Look at the network as it stands at a step, before its masks are extended."""

    def state(self) -> dict[str, Any]:
        """Return what a run that goes on later must know: plain values and tensors."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """Take the state of a saved run."""


class ChannelQuantity(Quantity):
    """All prunable channels; a share is rounded to the nearest channel.

    Args:
        groups: the dependency groups.
    """

    def __init__(self, groups: Sequence[DependencyGroup]) -> None:
        self.channels = sum(group.channels for group in groups)

    def removed(self, masks: Masks) -> float:
        """Return the share of the channels that is masked."""
        return masked_share(masks)

    def goal(self, share: float) -> float:
        """Return the share of the nearest whole number of channels."""
        return round(share * self.channels) / self.channels if self.channels else 0.0


class ComplexityQuantity(Quantity):
    """Parameters or multiply-adds of the whole network.

    Args:
        complexity: of the network under masks.
        name: which figure of it: ``parameters`` or ``multiply_adds``.
    """

    def __init__(self, complexity: MaskedComplexity, name: str) -> None:
        assert name in Complexity._fields
        self.complexity, self.name = complexity, name

    def removed(self, masks: Masks) -> float:
        """Return the share that cutting the masked channels out takes away."""
        whole, left = (getattr(found, self.name) for found in (self.complexity.whole, self.complexity(masks)))
        return (whole - left) / whole if whole else 0.0

    def channel_share(self, share: float) -> float:
        """Return the share of channels with which it goes where every group loses alike, to a hundredth."""
        groups = self.complexity.groups
        hundredths = bisect_left(range(100), share, key=lambda part: self.removed(even_masks(groups, 1 - part / 100)))
        return masked_share(even_masks(groups, 1 - hundredths / 100))

    def reachable(self, floor: float) -> float:
        """Return the share that goes where every group is cut down to the floor."""
        return self.removed(even_masks(self.complexity.groups, floor))


def even_masks(groups: Sequence[DependencyGroup], floor: float) -> dict[str, Tensor]:
    """Return masks that cut every group down to a floor; first the channels that occupy most places in the layers.

    Args:
        groups: prunable groups.
        floor: share of each group's channels that stays, in [0, 1]; at least one channel always stays.
    """
    masks = {}
    for group in groups:
        places = torch.tensor(
            [sum(len(member.indices[channel]) for member in group.members) for channel in range(group.channels)]
        )
        cut = group.channels - kept_channels(group.channels, floor)
        masks[group.name] = torch.zeros(group.channels, dtype=torch.bool)
        masks[group.name][places.argsort(descending=True, stable=True)[:cut]] = True
    return masks
