"""Mixed precision: the network's layers run in 16 bits, its weights, its outputs and all losses stay in float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from usncli.errors import ConfigurationError
from usncli.pruning.forwards import own_forward, training_forward
from usncli.pruning.options import Precision


def require_precision(precision: Precision, device: torch.device) -> None:
    """Check that a device trains in a precision.

    Raises:
        ConfigurationError: float16, whose gradients must be scaled, elsewhere than on a CUDA GPU.
    """
    if precision == Precision.FLOAT16 and device.type != "cuda":
        raise ConfigurationError(
            f"precision: expected float32 or bfloat16 on {device.type}, got float16, which trains on CUDA GPUs only; "
            "change --training-precision or --device"
        )


@contextmanager
def mixed_precision(network: nn.Module, precision: Precision) -> Iterator[None]:
    """Within this context the network, in training mode, runs under autocast and returns float32.

    What hooks see of its layers is in 16 bits. In evaluation mode, and for float32, nothing is changed.
    """
    if precision == Precision.FLOAT32:
        yield
        return
    dtype = torch.bfloat16 if precision == Precision.BFLOAT16 else torch.float16

    def forward(images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, dtype):
            return own_forward(network, images).float()

    with training_forward(network, forward):
        yield


def gradient_scaler(precision: Precision, device: torch.device) -> torch.amp.GradScaler:
    """Return what keeps small gradients from vanishing in float16; in other precisions it does nothing."""
    return torch.amp.GradScaler(device.type, enabled=precision == Precision.FLOAT16)
