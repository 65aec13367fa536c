"""ResNet18 (He et al. 2015, "Deep residual learning"), in torchvision's layout and names, for coordinate regression."""

from __future__ import annotations

from torch import Tensor, nn

from usncli.zoo.networks.building import expect_positive, initialise, scaled, shrink

BASE = 64
"""Channels of the stem and of the first stage at width 1; each later stage doubles them."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm beside a shortcut, summed before the last ReLU.

    Args:
        inputs: input channels.
        outputs: output channels.
        stride: of the first convolution, and of the 1x1 convolution that the shortcut needs when the shape changes.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(batch, inputs, height, width)`` to ``(batch, outputs, ceil(height / stride), ...)``."""
        shortcut = features if self.downsample is None else self.downsample(features)
        residual = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(features)))))
        result: Tensor = self.relu(residual + shortcut)
        return result


class ResNet18(nn.Module):
    """A 7x7 stride-2 stem, a 3x3 stride-2 max-pool, four stages of two basic blocks, an average pool, a linear layer.

    At width 1 with 1,000 outputs its state dict has torchvision's keys and shapes.

    Args:
        outputs: numbers predicted, two a keypoint.
        channels: channels of the image.
        width: factor on every layer's channels; 0.125 to 0.25 is narrow.

    Raises:
        ConfigurationError: a count below 1 or a width not above 0.
    """

    def __init__(self, outputs: int, channels: int, width: float) -> None:
        super().__init__()
        expect_positive(outputs=outputs, channels=channels)
        sizes = [scaled(BASE * 2**stage, width) for stage in range(4)]
        self.conv1 = nn.Conv2d(channels, sizes[0], kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(sizes[0])
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = _stage(sizes[0], sizes[0], stride=1)
        self.layer2 = _stage(sizes[0], sizes[1], stride=2)
        self.layer3 = _stage(sizes[1], sizes[2], stride=2)
        self.layer4 = _stage(sizes[2], sizes[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(sizes[3], outputs)
        initialise(self)
        shrink(self.fc, 0.1)

    def forward(self, images: Tensor) -> Tensor:
        """Map ``(batch, channels, height, width)`` to ``(batch, outputs)``."""
        features = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        features = self.layer4(self.layer3(self.layer2(self.layer1(features))))
        result: Tensor = self.fc(self.flatten(self.avgpool(features)))
        return result


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, 1))


def resnet18(outputs: int = 16, channels: int = 3, width: float = 1.0) -> ResNet18:
    """Build a `ResNet18`; its outputs are meant as x, y a keypoint in [-1, 1] across the image ("centred")."""
    return ResNet18(outputs, channels, width)
