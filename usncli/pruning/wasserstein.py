"""The Wasserstein distance that drives importances apart: near 0 for what goes, near 1 for what stays."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from usncli.pruning.options import WassersteinTarget
from usncli.scoring.selection import kept_channels


def wasserstein_distance(values: Tensor, target: Tensor) -> Tensor:
    """Return the 1-D Wasserstein-1 distance between two samples of equal size.

    In one dimension the best transport pairs the sorted values: the mean of ``|sorted(values) - sorted(target)|``.
    Differentiable in both arguments, the order of the sorted values held fixed.

    Args:
        values: ``(channels,)``.
        target: ``(channels,)``.
    """
    return (values.sort().values - target.sort().values).abs().mean()


def two_point_target(channels: int, ratio: float, like: Tensor) -> Tensor:
    """Return the sorted target that separates important channels from unimportant ones: a share of 0, the rest 1.

    Args:
        channels: number of prunable channels.
        ratio: share that is to be pruned, in [0, 1).
        like: gives dtype and device.

    Returns:
        ``(channels,)``, increasing.
    """
    target = torch.ones(channels, dtype=like.dtype, device=like.device)
    target[: round(ratio * channels)] = 0.0
    return target


@dataclass(frozen=True)
class Separation:
    """How far the importances of all prunable channels are from a target that separates them.

    Attributes:
        sizes: number of channels of every group.
        share: of all channels that is to be pruned, in [0, 1).
        target: how the targets are made.
        floor: share of a group's channels that stays.
    """

    sizes: tuple[int, ...]
    share: float
    target: WassersteinTarget = WassersteinTarget.TWO_POINT
    floor: float = 0.0

    def __call__(self, importances: Tensor) -> Tensor:
        """Return the distance, a scalar, differentiable.

        Two-point is one distance over all channels. Concentrated is one for each group, with as many zeros as
        `concentrated_counts` gives it, averaged by their channels.

        Args:
            importances: of all groups side by side, ``(channels,)``.
        """
        if self.target == WassersteinTarget.TWO_POINT:
            target = two_point_target(sum(self.sizes), self.share, importances)
            return wasserstein_distance(importances, target)
        counts = concentrated_counts(importances.detach(), self.sizes, self.share, self.floor)
        total = importances.new_zeros(())
        for own, count in zip(torch.split(importances, list(self.sizes)), counts, strict=True):
            total = total + len(own) * wasserstein_distance(own, two_point_target(len(own), count / len(own), own))
        return total / max(len(importances), 1)


def concentrated_counts(importances: Tensor, sizes: tuple[int, ...], share: float, floor: float) -> list[int]:
    """Return how many channels each group is to lose so that few groups lose them.

    The group that has the largest share of the least important channels loses all that its floor allows, then the next
    one, until the share is reached.

    Args:
        importances: of all groups side by side, ``(channels,)``.
        sizes: number of channels of every group.
        share: of all channels that is to be pruned.
        floor: share of a group's channels that stays; at least one does.
    """
    left = round(share * len(importances))
    least = torch.zeros(len(importances), dtype=torch.bool)
    least[importances.cpu().argsort(stable=True)[:left]] = True
    found = [float(part.float().mean()) for part in torch.split(least, list(sizes))]
    counts = [0] * len(sizes)
    for group in sorted(range(len(sizes)), key=lambda group: -found[group]):
        counts[group] = min(left, sizes[group] - kept_channels(sizes[group], floor))
        left -= counts[group]
    return counts
