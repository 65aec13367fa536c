"""Losses that make a network stable under perturbation: unbiased, smooth and Wasserstein, and two on predictions.

The formulas are ours, built on the summary of arXiv 2510.00083; `usncli.scoring.statistics` states the terms. With the
mean over the channels that are not dead:

    unbiased    = mean of unbiased_j^2
    smooth      = mean of smooth_j
    wasserstein = distance between the sorted importances of all prunable channels and a sorted target

so that equal weights of the first two lower E[D^2], the mean squared movement of activations in units of their signal.
These steady what is inside, each channel against its own signal, and say nothing of the last layer, whose outputs are
what is certified. Two losses that the source does not have steady those (`usncli.pruning.task_losses`): consistency,
how far predictions move, and perturbed, the task's own loss on the perturbed images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from usncli.loading.pipeline import Pipeline
from usncli.perturbing.perturbation import Perturbation
from usncli.perturbing.ranges import PerturbationRange
from usncli.perturbing.sampling import SamplingMethod, ThetaSample, sample_theta
from usncli.pruning.batch_share import ALONE, BatchShare
from usncli.pruning.fitting import image_size
from usncli.pruning.gradient_limit import GradientLimit
from usncli.pruning.options import LossOptions
from usncli.pruning.positions import tapped_activations
from usncli.pruning.schedule import loss_weights
from usncli.pruning.task_losses import consistency_loss, task_loss
from usncli.pruning.training import StepLoss, step_seed
from usncli.pruning.wasserstein import Separation
from usncli.scoring.activations import split_clean, with_clean
from usncli.scoring.channel_index import ChannelIndex, index_channels, scored_layers
from usncli.scoring.groups import DependencyGroup
from usncli.scoring.statistics import InstabilityTerms, importance, instability, instability_terms
from usncli.types import Batch

THETA_PURPOSE = 1
"""Sets the draws of theta apart from what else is drawn in a step (`step_seed`)."""


@dataclass(frozen=True)
class StabilityLoss:
    """The task's loss and the stability losses, on one forward pass of ``[x; h(x, theta_1..m)]``.

    Attributes:
        pipeline: the network that is trained.
        groups: its dependency groups; without any, only predictions are steadied.
        ranges: perturbations, taken in turn, one a step.
        options: weights, and thetas a step.
        separation: distance of the importances from what the Wasserstein loss asks for.
        seed: of the thetas.
        steps: of the whole run, of which the ramps of the weights are parts.
        share: of this process in a batch.
        limit: of the Wasserstein loss's gradient, where there is one.
        indices: where the groups' channels stand in the layers, kept between steps.
    """

    pipeline: Pipeline
    groups: tuple[DependencyGroup, ...]
    ranges: tuple[PerturbationRange, ...]
    options: LossOptions
    separation: Separation
    seed: int
    steps: int
    share: BatchShare = ALONE
    limit: GradientLimit | None = None
    indices: dict[tuple[tuple[str, int], ...], ChannelIndex] = field(default_factory=dict)

    def __call__(self, batch: Batch, step: int) -> StepLoss:
        """Return the loss of a batch; thetas are a pure function of seed and step."""
        own, size, thetas = self.share.own(batch.images), image_size(self.pipeline), self.thetas(step)
        perturbed = self.perturbation(step).expand(own, thetas.theta)
        with tapped_activations(self.pipeline.network, self.layers, step) as taken:
            outputs = self.share.whole(self.pipeline(with_clean(own, perturbed)))
        count = len(batch.images)
        clean, moved = split_clean(outputs, count)
        parts = {"task": task_loss(clean, batch.targets, self.pipeline.task, size)}
        if self.groups:
            parts |= stability_losses(self.terms(taken, count, step), self.separation)
        parts["consistency"] = consistency_loss(clean, moved, thetas.weights, self.pipeline.task, size)
        parts["perturbed"] = self.perturbed_loss(moved, batch.targets, thetas.weights)
        total = parts["task"]
        for name, weight in self.weights(parts, step).items():
            total = total + weight * parts[name] if weight and name in parts else total
        return StepLoss(total, clean.detach(), {name: value.detach() for name, value in parts.items()})

    def weights(self, parts: Mapping[str, Tensor], step: int) -> dict[str, float]:
        """Return the weight of every loss at a step; that of the Wasserstein loss as its limit has it."""
        weights = loss_weights(self.options, step, self.steps)
        if self.limit is not None and weights["wasserstein"] and "wasserstein" in parts:
            parameters = [each for each in self.pipeline.network.parameters() if each.requires_grad]
            self.limit.update(parameters, parts["task"], weights["wasserstein"] * parts["wasserstein"], step)
            weights["wasserstein"] *= self.limit.factor
        return weights

    def perturbed_loss(self, moved: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the task's loss on the perturbed images: predictions ``(batch, samples, ...)`` against the labels."""
        size, task = image_size(self.pipeline), self.pipeline.task
        losses = [task_loss(predictions, targets, task, size) for predictions in moved.unbind(1)]
        return (torch.stack(losses) * weights.to(moved)).sum()

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """Names of the scored layers."""
        return scored_layers(self.groups)

    def terms(self, taken: Mapping[str, Tensor], images: int, step: int) -> InstabilityTerms:
        """Return the terms of every group's channels, in float32, from the activations of the scored layers.

        Args:
            taken: of every scored layer, at some positions, for each image of this process's share, an image before its
                samples: ``(share's images * (1 + samples), channels, ...)``.
            images: number of images of the whole batch.
            step: whose thetas made the samples.
        """
        thetas = self.thetas(step)
        widths = tuple((layer, taken[layer].shape[1]) for layer in self.layers)
        if widths not in self.indices:
            self.indices[widths] = index_channels(self.groups, widths)
        picked = [self.share.whole(taken[layer].float()) for layer in self.layers]
        return self.indices[widths].combine(terms_of_layers(picked, images, thetas))

    def perturbation(self, step: int) -> Perturbation:
        """Return the perturbation of a step."""
        return self.ranges[step % len(self.ranges)].perturbation

    def thetas(self, step: int) -> ThetaSample:
        """Return the thetas of a step, spread over the box: independent draws would hide a shift in their own mean."""
        generator = torch.Generator().manual_seed(step_seed(self.seed, step, THETA_PURPOSE))
        chosen = self.ranges[step % len(self.ranges)]
        return sample_theta(chosen, SamplingMethod.SOBOL, self.options.samples, generator)


def terms_of_layers(picked: Sequence[Tensor], images: int, thetas: ThetaSample) -> InstabilityTerms:
    """Return the terms of all layers' channels, side by side; layers of as many positions are worked on as one.

    Args:
        picked: activations of each layer, ``(images * (1 + samples), channels, ...)``.
        images: number of images.
        thetas: of the samples.
    """
    alike: dict[torch.Size, list[int]] = {}
    for place, activations in enumerate(picked):
        alike.setdefault(activations.shape[2:], []).append(place)
    found: dict[int, tuple[Tensor, ...]] = {}
    for places in alike.values():
        together = torch.cat([picked[place] for place in places], dim=1)
        terms = instability_terms(
            together.reshape(images, -1, *together.shape[1:]), thetas.weights, thetas.variance_factor
        )
        widths = [picked[place].shape[1] for place in places]
        found |= zip(places, zip(*(torch.split(part, widths) for part in terms), strict=True), strict=True)
    parts = zip(*(found[place] for place in range(len(picked))), strict=True)
    return InstabilityTerms(*(torch.cat(part) for part in parts))


def stability_losses(terms: InstabilityTerms, separation: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """Return the three losses, without their weights.

    The median by which importance is scaled carries no gradient: else the cheapest way to make all others important
    would be to unsettle the channel in the middle.

    Args:
        terms: ``(channels of all groups,)``.
        separation: distance of importances ``(channels of all groups,)`` from what is asked of them.
    """
    alive = terms.signal > 0
    count = alive.sum().clamp(min=1)
    total = instability(terms)
    median = total.detach()[alive].median() if alive.any() else total.new_ones(())
    return {
        "unbiased": terms.unbiased.square().sum() / count,
        "smooth": terms.smooth.sum() / count,
        "wasserstein": separation(importance(total, median)),
    }
