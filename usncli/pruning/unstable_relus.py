"""Unstable ReLUs as a quantity to remove: values in front of ReLUs that change sign within the perturbations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from usncli.pruning.criteria.context import ScoringContext
from usncli.pruning.criteria.extremes import grid_extremes
from usncli.pruning.masks import Masks
from usncli.pruning.quantities import Quantity
from usncli.scoring.channel_index import index_channels, scored_layers
from usncli.scoring.streaming import evaluating


def count_sign_changes(context: ScoringContext) -> dict[str, Tensor]:
    """Return how many values of each channel, in front of its activation functions, are below and above 0 in a range.

    Counted over images, positions, ranges and the layers that make a channel.

    Args:
        context: network, images, ranges and how fine the grid over a range is.

    Returns:
        For every group's name, ``(channels,)`` int64 on the CPU.
    """
    layers = scored_layers(context.groups)
    counts: dict[str, Tensor] = {}
    with torch.no_grad(), evaluating(context.pipeline):
        for chosen in context.ranges:
            for found in grid_extremes(context, chosen, layers):
                for layer, (lower, upper) in found.items():
                    changes = ((lower < 0) & (upper > 0)).transpose(0, 1).flatten(1).sum(dim=1).cpu()
                    counts[layer] = counts.get(layer, 0) + changes
    index = index_channels(context.groups, [(layer, len(counts[layer])) for layer in layers])
    totals = index.split(index.total(torch.cat([counts[layer] for layer in layers])))
    return {group.name: values for group, values in zip(context.groups, totals, strict=True)}


class UnstableReluQuantity(Quantity):
    """Sign changes, as `count_sign_changes` counts them; a masked channel counts with what it had when it was masked.

    Training moves the counts, so that which share a ratio takes away is known at the last scoring only.

    Args:
        count: the sign changes of every group's channels at a step, by the group's name.
    """

    def __init__(self, count: Callable[[int], Mapping[str, Tensor]]) -> None:
        self.count = count
        self.counts: dict[str, Tensor] = {}

    def measure(self, step: int, masks: Masks) -> None:
        """Count anew in channels that are not masked."""
        fresh = self.count(step)
        before = self.counts or fresh
        self.counts = {name: torch.where(mask, before[name], fresh[name]) for name, mask in masks.items()}

    def removed(self, masks: Masks) -> float:
        """Return the share that was counted in masked channels; 1 where none was counted, 0 before any count."""
        total = sum(int(counts.sum()) for counts in self.counts.values())
        gone = sum(int(counts[masks[name]].sum()) for name, counts in self.counts.items())
        return gone / total if total else float(bool(self.counts))

    def state(self) -> dict[str, Any]:
        """Return the counts."""
        return {"counts": self.counts}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the counts of a saved run."""
        self.counts = dict(state["counts"])
