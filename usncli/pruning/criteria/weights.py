"""Importance by the weights alone, or by their gradients: what pruning without perturbations goes by."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from usncli.pruning.channel_axes import channel_axes
from usncli.pruning.criteria.context import ScoringContext
from usncli.pruning.fitting import image_size
from usncli.pruning.strided import pixels_chosen_first
from usncli.pruning.task_losses import task_loss
from usncli.scoring.groups import DependencyGroup, GroupMember
from usncli.scoring.streaming import evaluating


@torch.no_grad()
def magnitude_importance(context: ScoringContext) -> tuple[Tensor, ...]:
    """Return the L2 norm of the weights that make each channel, over the mean norm of their layer."""
    network = context.pipeline.network

    def norms(layer: nn.Module, member: GroupMember) -> Tensor | None:
        if not isinstance(layer, nn.modules.conv._ConvNd | nn.Linear):
            return None
        axis = channel_axes(member.module, layer, "out")[0].axis
        own: Tensor = layer.weight.detach().double().cpu().transpose(0, axis).flatten(1).norm(dim=1)
        return _per_channel(own.square(), member.indices).sqrt() / own.mean().clamp(min=1e-12)

    return tuple(_mean_of_makers(network, group, norms) for group in context.groups)


@torch.no_grad()
def batch_norm_importance(context: ScoringContext) -> tuple[Tensor, ...]:
    """Return the absolute scale of each channel's batch norm, over the mean of that batch norm's.

    Liu et al. 2017, "Learning efficient convolutional networks through network slimming", compare the scales as they
    are. A channel without a batch norm gets 1, the mean of any layer.
    """
    network = context.pipeline.network

    def scales(layer: nn.Module, member: GroupMember) -> Tensor | None:
        if not isinstance(layer, nn.modules.batchnorm._BatchNorm) or layer.weight is None:
            return None
        own = layer.weight.detach().double().cpu().abs()
        return _per_channel(own.square(), member.indices).sqrt() / own.mean().clamp(min=1e-12)

    return tuple(_mean_of_makers(network, group, scales, otherwise=1.0) for group in context.groups)


def taylor_importance(context: ScoringContext) -> tuple[Tensor, ...]:
    """Return how much the task's loss changes, to first order, when a channel is cut.

    The sum of |weight * gradient| over all parameters of the channel, in every layer that makes or consumes it, with
    running statistics held still (Molchanov et al. 2019, "Importance estimation for neural network pruning", cut
    single weights by its square).
    """
    pipeline, network = context.pipeline, context.pipeline.network
    parameters = dict(network.named_parameters())
    batch = context.images.take(torch.tensor(context.chosen_images()))
    with evaluating(pipeline), torch.enable_grad(), pixels_chosen_first(pipeline.network):
        loss = task_loss(pipeline(batch.images), batch.targets, pipeline.task, image_size(pipeline))
        gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    change = {
        name: torch.zeros_like(parameter) if gradient is None else (parameter * gradient).abs().detach()
        for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True)
    }
    return tuple(_group_sum(network, group, change) for group in context.groups)


def _mean_of_makers(
    network: nn.Module,
    group: DependencyGroup,
    measure: Callable[[nn.Module, GroupMember], Tensor | None],
    otherwise: float = 0.0,
) -> Tensor:
    """Return the mean of a measure ``(channels,)`` over the layers of a group that make its channels and have one."""
    makers = [member for member in group.members if member.side == "out"]
    found = [measure(network.get_submodule(member.module), member) for member in makers]
    values = [value for value in found if value is not None]
    return torch.stack(values).mean(dim=0) if values else torch.full((group.channels,), otherwise, dtype=torch.float64)


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
