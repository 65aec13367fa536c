"""From the channels of layers to the channels of groups: coupled channels are averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from usncli.scoring.groups import DependencyGroup
from usncli.scoring.statistics import InstabilityTerms


@dataclass(frozen=True)
class ChannelIndex:
    """Where the channels of all groups, one group after the other, are found in the scored layers.

    Attributes:
        layers: names of the scored layers.
        units: for every layer, ``(units,)`` int64: which of its channels are scored.
        owners: for every layer, ``(units,)`` int64: the channel, counted through all groups, that each belongs to.
        sizes: number of channels of every group.
    """

    layers: tuple[str, ...]
    units: tuple[Tensor, ...]
    owners: tuple[Tensor, ...]
    sizes: tuple[int, ...]

    @property
    def total(self) -> int:
        """Number of channels of all groups."""
        return sum(self.sizes)

    def combine(self, terms: Mapping[str, InstabilityTerms]) -> InstabilityTerms:
        """Average the terms of layers over the living members of each channel.

        Args:
            terms: for every scored layer, ``(..., layer channels)``.

        Returns:
            Terms ``(..., channels of all groups)``, differentiable; a channel without a living member is dead (signal
            0, terms 0).
        """
        device = terms[self.layers[0]].signal.device
        owners = torch.cat(self.owners).to(device)
        parts = []
        for part in range(3):
            columns = [
                terms[layer][part].index_select(-1, units.to(device))
                for layer, units in zip(self.layers, self.units, strict=True)
            ]
            parts.append(torch.cat(columns, dim=-1))
        alive = (parts[2] > 0).to(parts[2])
        shape = (*alive.shape[:-1], self.total)
        count = alive.new_zeros(shape).index_add(-1, owners, alive).clamp(min=1)
        averages = [part.new_zeros(shape).index_add(-1, owners, part * alive) / count for part in parts]
        return InstabilityTerms(*averages)

    def split(self, values: Tensor) -> tuple[Tensor, ...]:
        """Split values of all channels, ``(..., channels of all groups)``, into one tensor a group."""
        return tuple(torch.split(values, list(self.sizes), dim=-1))


def index_channels(groups: Sequence[DependencyGroup]) -> ChannelIndex:
    """Find where the channels of the groups are read."""
    found: dict[str, tuple[list[int], list[int]]] = {}
    first = 0
    for group in groups:
        for scored in group.scored:
            units, owners = found.setdefault(scored.module, ([], []))
            for channel, indices in enumerate(scored.indices):
                units.extend(indices)
                owners.extend([first + channel] * len(indices))
        first += group.channels
    return ChannelIndex(
        tuple(found),
        tuple(torch.tensor(units, dtype=torch.long) for units, _ in found.values()),
        tuple(torch.tensor(owners, dtype=torch.long) for _, owners in found.values()),
        tuple(group.channels for group in groups),
    )
