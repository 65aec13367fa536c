"""Importance by how far a channel's ReLUs stay from changing sign under the perturbations."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from usncli.perturbing.ranges import PerturbationRange
from usncli.pruning.criteria.context import ScoringContext
from usncli.pruning.criteria.extremes import grid_extremes, image_batches
from usncli.scoring.activations import record_activations
from usncli.scoring.channel_index import index_channels, scored_layers
from usncli.scoring.statistics import DEAD_SIGNAL
from usncli.scoring.streaming import evaluating


def relu_stability_importance(context: ScoringContext) -> tuple[Tensor, ...]:
    """Return the mean of ``(1 + tanh(1 + l u)) / 2``, in [0, 1]: 1 where no ReLU can change sign.

    Xiao et al. 2019, "Training for faster adversarial robustness verification via inducing ReLU stability", lower
    ``-tanh(1 + l u)`` over all units, with l and u the least and greatest pre-activation. Here these are taken over a
    grid of the range, its ends among them, in units of the channel's signal, so that rescaling a layer changes nothing;
    the mean is over images, positions and ranges. A dead channel gets 0.
    """
    layers = scored_layers(context.groups)
    with torch.no_grad(), evaluating(context.pipeline):
        signals = _signals(context, layers)
        found = [_range_stability(context, chosen, signals) for chosen in context.ranges]
    widths = [(layer, len(signals[layer].variance)) for layer in layers]
    index = index_channels(context.groups, widths)
    alive = torch.cat([signals[layer].alive for layer in layers])
    stable = torch.cat([torch.stack([part[layer] for part in found]).mean(dim=0) for layer in layers])
    return index.split(index.average(stable, alive))


class _Signal(NamedTuple):
    """Variance of a layer's channels over images and positions, and which are not dead; on the CPU."""

    variance: Tensor
    alive: Tensor


def _signals(context: ScoringContext, layers: tuple[str, ...]) -> dict[str, _Signal]:
    """Return the signal of every layer's channels on the images as they are."""
    sums: dict[str, Tensor] = {}
    count = 0
    for images in image_batches(context):
        with record_activations(context.pipeline.network, layers) as recorded:
            context.pipeline(images)
        for layer in layers:
            values = recorded[layer].double().reshape(*recorded[layer].shape[:2], -1)
            moments = torch.stack([values.mean(dim=2).sum(dim=0), values.square().mean(dim=2).sum(dim=0)]).cpu()
            sums[layer] = sums.get(layer, 0) + moments
        count += len(images)
    signals = {}
    for layer, moments in sums.items():
        mean, square = moments / count
        variance = (square - mean.square()).clamp(min=0)
        signals[layer] = _Signal(variance, variance > DEAD_SIGNAL**2 * square)
    return signals


def _range_stability(
    context: ScoringContext, chosen: PerturbationRange, signals: dict[str, _Signal]
) -> dict[str, Tensor]:
    """Return the mean stability of every layer's channels under one perturbation, ``(channels,)``, on the CPU."""
    totals: dict[str, Tensor] = {}
    count = 0
    for found in grid_extremes(context, chosen, signals):
        for layer, (lower, upper) in found.items():
            alive, variance = signals[layer].alive, signals[layer].variance
            scale = torch.where(alive, variance, 1.0).to(lower.device)
            units = (lower * upper).reshape(*lower.shape[:2], -1) / scale.view(1, -1, 1)
            stable = ((1 + torch.tanh(1 + units)) / 2).mean(dim=2).sum(dim=0)
            totals[layer] = totals.get(layer, 0) + stable.cpu()
        count += len(next(iter(found.values())).lower)
    return {layer: total / count for layer, total in totals.items()}
