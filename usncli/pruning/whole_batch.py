"""Layers that look at, or draw for, the whole batch of which a process runs a share.

Batch norm takes the statistics of the whole batch, on CPUs too, where torch's own SyncBatchNorm does not run. Dropout
draws for the whole batch, so that an image loses the same activations whichever process runs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm

from usncli.errors import UnsupportedOperationError
from usncli.pruning.batch_share import BatchShare, pad_rows
from usncli.pruning.forwards import own_forward, training_forward


@contextmanager
def whole_batch_layers(network: nn.Module, share: BatchShare) -> Iterator[None]:
    """Within this context the network, in training mode, computes on a share what it would on the whole batch.

    Args:
        network: its layers are changed in place, and put back.
        share: of this process; alone, nothing is changed.

    Raises:
        UnsupportedOperationError: a layer whose running statistics several processes do not share.
    """
    with ExitStack() as changed:
        for name, layer in network.named_modules() if share.processes.count > 1 else ():
            if isinstance(layer, _InstanceNorm) and layer.track_running_stats:
                raise UnsupportedOperationError(
                    f"layer {name}: expected no instance norm with running statistics where several processes train; "
                    "train with one process",
                    [name],
                )
            if isinstance(layer, _BatchNorm):
                changed.enter_context(training_forward(layer, partial(whole_batch_norm, layer, share)))
            elif isinstance(layer, _DropoutNd):
                changed.enter_context(training_forward(layer, partial(whole_batch_dropout, layer, share)))
        yield


def whole_batch_norm(layer: _BatchNorm, share: BatchShare, inputs: Tensor) -> Tensor:
    """Normalise a share by mean and variance of the whole batch, and update the running statistics by them.

    Args:
        layer: the batch norm.
        share: of this process.
        inputs: ``(count * k, channels, ...)``, see `BatchShare.whole`.
    """
    values = inputs.float()
    dimensions = (0, *range(2, values.dim()))
    variance, mean = torch.var_mean(values, dimensions, correction=0)
    moments = share.processes.gather(torch.stack([mean, variance]))
    weights = moments.new_tensor(share.counts).unsqueeze(1) / share.images
    means, variances = moments.unbind(1)
    mean = (weights * means).sum(dim=0)
    variance = (weights * (variances + (means - mean).square())).sum(dim=0)
    _update_running(layer, mean.detach(), variance.detach(), values[:, 0].numel() * share.images // share.count)
    scale = (variance + layer.eps).rsqrt()
    scale = scale if layer.weight is None else scale * layer.weight
    shift = -mean * scale if layer.bias is None else layer.bias - mean * scale
    shape = (1, -1, *[1] * (values.dim() - 2))
    return torch.addcmul(shift.view(shape), values, scale.view(shape)).to(inputs.dtype)


def whole_batch_dropout(layer: nn.Module, share: BatchShare, inputs: Tensor) -> Tensor:
    """Drop from a share what would be dropped from it in the whole batch.

    Args:
        layer: any dropout.
        share: of this process.
        inputs: ``(count * k, ...)``, see `BatchShare.whole`.
    """
    rows = inputs.shape[0] // share.count
    before, after = share.before * rows, (share.images - share.before - share.count) * rows
    return own_forward(layer, pad_rows(inputs, before, after))[before : before + inputs.shape[0]]


def _update_running(layer: _BatchNorm, mean: Tensor, variance: Tensor, count: int) -> None:
    """Update running statistics as torch does: by the unbiased variance of ``count`` values a channel."""
    if layer.running_mean is None or layer.running_var is None or layer.num_batches_tracked is None:
        return
    layer.num_batches_tracked.add_(1)
    momentum = layer.momentum if layer.momentum is not None else 1 / int(layer.num_batches_tracked)
    layer.running_mean.lerp_(mean, momentum)
    layer.running_var.lerp_(variance * (count / max(count - 1, 1)), momentum)
