"""The Wasserstein distance that drives importances apart: near 0 for what goes, near 1 for what stays."""

from __future__ import annotations

import torch
from torch import Tensor


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
