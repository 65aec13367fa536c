"""From the channels of layers to the channels of groups: coupled channels are averaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from usncli.scoring.groups import DependencyGroup
from usncli.scoring.statistics import InstabilityTerms


@dataclass(frozen=True)
class ChannelIndex:
    """Where the channels of all groups, one group after the other, are found in the layers' joined channels.

    Attributes:
        columns: ``(members,)`` int64: joined channels that are scored.
        owners: ``(members,)`` int64: the channel, counted through all groups, that each belongs to.
        sizes: number of channels of every group.
    """

    columns: Tensor
    owners: Tensor
    sizes: tuple[int, ...]

    def combine(self, terms: InstabilityTerms) -> InstabilityTerms:
        """Average terms over the living members of each channel.

        Args:
            terms: of all layers side by side, ``(..., joined channels)``.

        Returns:
            Terms ``(..., channels of all groups)``, differentiable; a channel without a living member is dead (signal
            0, terms 0).
        """
        return InstabilityTerms(*(self.average(part, terms.signal > 0) for part in terms))

    def average(self, values: Tensor, alive: Tensor) -> Tensor:
        """Average values over the living members of each channel; 0 for a channel that has none.

        Args:
            values: of all layers side by side, ``(..., joined channels)``.
            alive: which of them live, likewise.

        Returns:
            ``(..., channels of all groups)``, differentiable.
        """
        owners, columns = self.owners.to(values.device), self.columns.to(values.device)
        counted = alive.to(values).index_select(-1, columns)
        shape = (*counted.shape[:-1], sum(self.sizes))
        count = counted.new_zeros(shape).index_add(-1, owners, counted).clamp(min=1)
        return values.new_zeros(shape).index_add(-1, owners, values.index_select(-1, columns) * counted) / count

    def total(self, values: Tensor) -> Tensor:
        """Sum values over the members of each channel.

        Args:
            values: of all layers side by side, ``(..., joined channels)``.

        Returns:
            ``(..., channels of all groups)``.
        """
        owners, columns = self.owners.to(values.device), self.columns.to(values.device)
        shape = (*values.shape[:-1], sum(self.sizes))
        return values.new_zeros(shape).index_add(-1, owners, values.index_select(-1, columns))

    def split(self, values: Tensor) -> tuple[Tensor, ...]:
        """Split values of all channels, ``(..., channels of all groups)``, into one tensor a group."""
        return tuple(torch.split(values, list(self.sizes), dim=-1))


def scored_layers(groups: Sequence[DependencyGroup]) -> tuple[str, ...]:
    """Return the names of all layers whose outputs are scored, each once."""
    return tuple(dict.fromkeys(scored.module for group in groups for scored in group.scored))


def index_channels(groups: Sequence[DependencyGroup], layers: Sequence[tuple[str, int]]) -> ChannelIndex:
    """Find where the channels of the groups are read.

    Args:
        groups: prunable groups.
        layers: name and number of channels of the layers, in the order in which their channels are joined; a layer that
            runs several times comes several times, and each run counts as a member.
    """
    starts: dict[str, list[int]] = {}
    width = 0
    for layer, channels in layers:
        starts.setdefault(layer, []).append(width)
        width += channels
    columns: list[int] = []
    owners: list[int] = []
    owner = 0
    for group in groups:
        for scored in group.scored:
            for start in starts[scored.module]:
                for channel, indices in enumerate(scored.indices):
                    columns.extend(start + index for index in indices)
                    owners.extend([owner + channel] * len(indices))
        owner += group.channels
    return ChannelIndex(torch.tensor(columns), torch.tensor(owners), tuple(group.channels for group in groups))
