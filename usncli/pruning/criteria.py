"""How channels are ranked: every criterion is a callable from a context to importances, higher is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from usncli.loading.batching import epoch_order, subset
from usncli.loading.pipeline import Pipeline
from usncli.perturbing.ranges import PerturbationRange
from usncli.pruning.channel_axes import channel_axes
from usncli.pruning.fitting import image_size
from usncli.pruning.options import Criterion, MaskOptions
from usncli.pruning.task_losses import task_loss
from usncli.pruning.training import step_seed
from usncli.pruning.training_images import TrainingImages
from usncli.scoring.channel_index import index_channels, scored_layers
from usncli.scoring.estimates import Estimates
from usncli.scoring.groups import DependencyGroup
from usncli.scoring.options import ScoreOptions
from usncli.scoring.statistics import importance
from usncli.scoring.streaming import ActivationScan, evaluating
from usncli.types import ImageData

SCORING_PURPOSE = 2
"""Sets the choice of scored images apart from what else is drawn in a step (`step_seed`)."""


@dataclass(frozen=True)
class ScoringContext:
    """What a criterion may look at.

    Attributes:
        pipeline: the network as it stands; left as it is found.
        groups: its dependency groups.
        images: the training images.
        ranges: the perturbations of the run.
        options: how many images and thetas to look at.
        seed: of the run.
        step: steps finished.
    """

    pipeline: Pipeline
    groups: tuple[DependencyGroup, ...]
    images: TrainingImages
    ranges: tuple[PerturbationRange, ...]
    options: MaskOptions
    seed: int
    step: int

    def chosen_images(self) -> list[int]:
        """Return the images of this scoring: another draw each time, a pure function of seed and step."""
        order = epoch_order(len(self.images), step_seed(self.seed, self.step, SCORING_PURPOSE), 0)
        return [int(index) for index in order[: self.options.scoring_images]]


ImportanceCriterion = Callable[[ScoringContext], tuple[Tensor, ...]]
"""Returns for every group ``(channels,)``, finite, at least 0, on the CPU; channels of all groups are compared."""


def make_criterion(criterion: Criterion) -> ImportanceCriterion | None:
    """Return the callable of a criterion; none where nothing is to be cut."""
    return {
        Criterion.USN: usn_importance,
        Criterion.RANDOM: random_importance,
        Criterion.MAGNITUDE: magnitude_importance,
        Criterion.TAYLOR: taylor_importance,
        Criterion.NONE: None,
    }[criterion]


def usn_importance(context: ScoringContext) -> tuple[Tensor, ...]:
    """Return the importances of `usncli.scoring.statistics`, averaged over the perturbations of the run."""
    data = subset(context.images, context.chosen_images())
    scores = [_range_importance(context, data, perturbation_range) for perturbation_range in context.ranges]
    return tuple(torch.stack(parts).mean(dim=0) for parts in zip(*scores, strict=True))


def random_importance(context: ScoringContext) -> tuple[Tensor, ...]:
    """Return a draw that is a pure function of the seed: the same at every step, so that masks only grow by it."""
    generator = torch.Generator().manual_seed(step_seed(context.seed, 0, SCORING_PURPOSE))
    return tuple(torch.rand(group.channels, generator=generator, dtype=torch.float64) for group in context.groups)


@torch.no_grad()
def magnitude_importance(context: ScoringContext) -> tuple[Tensor, ...]:
    """Return the L2 norm of the weights that make each channel, over the mean norm of their layer."""
    network = context.pipeline.network
    return tuple(_group_magnitude(network, group) for group in context.groups)


def taylor_importance(context: ScoringContext) -> tuple[Tensor, ...]:
    """Return how much the task's loss changes, to first order, when a channel is cut.

    The sum of |weight * gradient| over all parameters of the channel, in every layer that makes or consumes it, with
    running statistics held still (Molchanov et al. 2019, "Importance estimation for neural network pruning", cut
    single weights by its square).
    """
    pipeline, network = context.pipeline, context.pipeline.network
    parameters = dict(network.named_parameters())
    batch = context.images.take(torch.tensor(context.chosen_images()))
    with evaluating(pipeline), torch.enable_grad():
        loss = task_loss(pipeline(batch.images), batch.targets, pipeline.task, image_size(pipeline))
        gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    change = {
        name: torch.zeros_like(parameter) if gradient is None else (parameter * gradient).abs().detach()
        for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True)
    }
    return tuple(_group_sum(network, group, change) for group in context.groups)


def _range_importance(
    context: ScoringContext, data: ImageData, perturbation_range: PerturbationRange
) -> tuple[Tensor, ...]:
    options = ScoreOptions(samples=context.options.scoring_samples**perturbation_range.dimension)
    scan = ActivationScan(context.pipeline, scored_layers(context.groups), perturbation_range, options)
    sums = scan.gather(data, len(data))
    index = index_channels(context.groups, [(part.layer, part.channels) for part in sums.columns])
    estimates = Estimates(context.groups, index, sums, options)
    return index.split(importance(estimates.instability(estimates.terms())))


def _group_magnitude(network: nn.Module, group: DependencyGroup) -> Tensor:
    total = torch.zeros(group.channels, dtype=torch.float64)
    makers = 0
    for member in group.members:
        layer = network.get_submodule(member.module)
        if member.side != "out" or not isinstance(layer, nn.modules.conv._ConvNd | nn.Linear):
            continue
        axis = channel_axes(member.module, layer, "out")[0].axis
        norms = layer.weight.detach().double().cpu().transpose(0, axis).flatten(1).norm(dim=1)
        total += _per_channel(norms.square(), member.indices).sqrt() / norms.mean().clamp(min=1e-12)
        makers += 1
    return total / max(1, makers)


def _group_sum(network: nn.Module, group: DependencyGroup, values: dict[str, Tensor]) -> Tensor:
    total = torch.zeros(group.channels, dtype=torch.float64)
    for member in group.members:
        layer = network.get_submodule(member.module)
        for tensor, axis, trained in channel_axes(member.module, layer, member.side):
            if trained:
                value = values[f"{member.module}.{tensor}"].double().cpu()
                sums = value.transpose(0, axis).reshape(value.shape[axis], -1).sum(dim=1)
                total += _per_channel(sums, member.indices)
    return total


def _per_channel(values: Tensor, indices: Sequence[Sequence[int]]) -> Tensor:
    """Sum the values, ``(width,)``, that belong to each channel."""
    return torch.stack([values[list(chosen)].sum() for chosen in indices])
