"""What the zoo's networks share: channel widths, convolution blocks and initial weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from usncli.errors import ConfigurationError


def scaled(channels: int, width: float) -> int:
    """Return ``channels`` times ``width``, rounded, at least 1.

    Raises:
        ConfigurationError: ``width`` is not above 0.
    """
    if not width > 0:
        raise ConfigurationError(f"width: expected a factor above 0, got {width}; 1.0 is the full network")
    return max(1, round(channels * width))


def expect_positive(**counts: int) -> None:
    """Check that each named count is at least 1.

    Raises:
        ConfigurationError: one is not.
    """
    for name, count in counts.items():
        if count < 1:
            raise ConfigurationError(f"{name}: expected a whole number of at least 1, got {count}")


class ConvolutionBlock(nn.Module):
    """3x3 convolution, batch norm, ReLU; padding keeps ``ceil(size / stride)``.

    Args:
        inputs: input channels.
        outputs: output channels.
        stride: of the convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(batch, inputs, height, width)`` to ``(batch, outputs, ceil(height / stride), ...)``."""
        result: Tensor = self.relu(self.norm(self.convolution(features)))
        return result


def initialise(network: nn.Module) -> None:
    """Give every convolution and linear layer He-normal weights (He et al. 2015, equation 10) and zero biases.

    Convolutions count their outgoing connections, as torchvision's ResNets do, linear layers their incoming ones.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def shrink(layer: nn.Linear | nn.Conv2d, factor: float) -> None:
    """Scale a layer's initial weights, so that an untrained network's outputs start near zero."""
    with torch.no_grad():
        layer.weight.mul_(factor)
