"""Which channels a ratio cuts, and how much two such choices agree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from usncli.errors import ConfigurationError
from usncli.scoring.groups import DependencyGroup


class Overlap(NamedTuple):
    """How much two sets of cut channels agree.

    Attributes:
        jaccard: common channels over channels in either, 1 for two empty sets.
        share: common channels over those of the smaller set, 1 if it is empty.
    """

    jaccard: float
    share: float

    def to_record(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return self._asdict()


def least_important(
    groups: Sequence[DependencyGroup], importance: Sequence[Tensor], ratio: float, floor: float = 0.0
) -> tuple[Tensor, ...]:
    """Choose the least important channels of all groups together.

    Args:
        groups: prunable groups.
        importance: for every group, ``(channels,)``; equal ones are cut in network order.
        ratio: share of all prunable channels that is cut, in [0, 1), rounded to the nearest channel. Fewer are cut
            where the floors leave no more.
        floor: share of each group's channels that stays, in [0, 1]; at least one channel always stays.

    Returns:
        For every group, ``(channels,)`` bool on the CPU, True where the channel is cut.

    Raises:
        ConfigurationError: a ratio or a floor out of its range.
        ValueError: importances are not finite, or not one a channel.
    """
    if not 0 <= ratio < 1:
        raise ConfigurationError(f"ratio: expected a share of at least 0 and below 1, got {ratio}; 1 would cut all")
    order = cutting_order(groups, importance, floor)
    return cut_channels(groups, order[: round(ratio * sum(group.channels for group in groups))])


def cutting_order(groups: Sequence[DependencyGroup], importance: Sequence[Tensor], floor: float = 0.0) -> Tensor:
    """Return the channels that may be cut, the least important first.

    Args:
        groups: prunable groups.
        importance: for every group, ``(channels,)``; equal ones come in network order.
        floor: share of each group's channels that stays, in [0, 1]; at least one channel always stays.

    Returns:
        ``(channels that the floors leave,)`` int64: numbers of channels, counted through all groups.

    Raises:
        ConfigurationError: a floor out of its range.
        ValueError: importances are not finite, or not one a channel.
    """
    if not 0 <= floor <= 1:
        raise ConfigurationError(f"floor: expected a share from 0 to 1, got {floor}")
    sizes = [group.channels for group in groups]
    if [tuple(values.shape) for values in importance] != [(size,) for size in sizes]:
        raise ValueError(f"importance: expected one number for each of {sizes} channels")
    if not groups:
        return torch.zeros(0, dtype=torch.int64)
    joined = torch.cat([values.detach().double().cpu() for values in importance])
    if not joined.isfinite().all():
        raise ValueError("importance: expected finite numbers")
    protected = torch.cat([_most_important(part, floor) for part in torch.split(joined, sizes)])
    order = torch.where(protected, torch.inf, joined).argsort(stable=True)
    return order[: int((~protected).sum())]


def cut_channels(groups: Sequence[DependencyGroup], channels: Tensor) -> tuple[Tensor, ...]:
    """Return for every group ``(channels,)`` bool, True where the channel is among those named.

    Args:
        groups: prunable groups.
        channels: numbers of channels, counted through all groups.
    """
    sizes = [group.channels for group in groups]
    cut = torch.zeros(sum(sizes), dtype=torch.bool)
    cut[channels] = True
    return tuple(torch.split(cut, sizes))


def kept_channels(channels: int, floor: float) -> int:
    """Return how many of a group's channels a floor keeps: that share, rounded up, and at least one."""
    return max(1, math.ceil(floor * channels - 1e-9))


def _most_important(importance: Tensor, floor: float) -> Tensor:
    """Mark the channels of one group that the floor keeps; of equal ones the last."""
    kept = kept_channels(len(importance), floor)
    mask = torch.zeros(len(importance), dtype=torch.bool)
    mask[importance.argsort(stable=True)[len(importance) - kept :]] = True
    return mask


def overlap(first: Sequence[Tensor], second: Sequence[Tensor]) -> Overlap:
    """Compare two choices of channels, as `least_important` returns them."""
    one, other = torch.cat(tuple(first)), torch.cat(tuple(second))
    common, union = int((one & other).sum()), int((one | other).sum())
    smaller = min(int(one.sum()), int(other.sum()))
    return Overlap(common / union if union else 1.0, common / smaller if smaller else 1.0)
