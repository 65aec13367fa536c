"""Tiny networks of the kinds that users bring; factories are named by tests as architectures too."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

SIZE = 16


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give every parameter and running statistic its own value, so that none can be mixed up unseen."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.5 + 0.1)
    return module


def small(outputs: int = 4, channels: int = 3) -> nn.Module:
    return randomise(
        nn.Sequential(
            nn.Conv2d(channels, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Dropout(0.5),
            nn.Flatten(),
            nn.Linear(6 * 8 * 8, outputs),
        )
    )


class Residual(nn.Module):
    """Sums, shared layers, in-place activations, and every way to flatten."""

    def __init__(self, outputs: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.block = nn.Conv2d(8, 8, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Linear(8 * 8 * 8, outputs)
        self.pooled = nn.Linear(8, outputs)

    def forward(self, images: Tensor) -> Tensor:
        features = self.act(self.norm(self.stem(images)))
        residual = self.block(features)
        residual += features
        features = functional.avg_pool2d(self.act(residual), 2)
        return self.head(features.view(features.size(0), -1)) + self.pooled(features.mean((2, 3)))


class Mobile(nn.Module):
    """MobileNetV3- and EfficientNet-like: depthwise convolutions, squeeze and excitation, hard-swish, SiLU, PReLU."""

    def __init__(self, outputs: int = 4) -> None:
        super().__init__()
        self.expand = nn.Conv2d(3, 8, 1)
        self.depthwise = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8)
        self.norm = nn.BatchNorm2d(8)
        self.squeeze = nn.Conv2d(8, 4, 1)
        self.excite = nn.Conv2d(4, 8, 1)
        self.prelu = nn.PReLU(8)
        self.register_buffer("offset", torch.linspace(0, 1, 8).view(1, 8, 1, 1))
        self.scale = nn.Parameter(torch.full((1, 8, 1, 1), 1.5))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(8, outputs))

    def forward(self, images: Tensor) -> Tensor:
        features = functional.hardswish(self.norm(self.depthwise(functional.silu(self.expand(images)))))
        weights = functional.adaptive_avg_pool2d(features, 1)
        weights = functional.hardsigmoid(self.excite(functional.silu(self.squeeze(weights))))
        features = self.prelu(features * weights * self.scale + self.offset)
        return self.classifier(features.mean([2, 3]))


class UNet(nn.Module):
    """Encoder-decoder with concatenation, both kinds of upsampling and a transposed convolution."""

    def __init__(self, maps: int = 3) -> None:
        super().__init__()
        self.enter = nn.Conv2d(3, 4, 3, padding=1)
        self.down = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.bottom = nn.Conv2d(6, 6, 3, stride=2, padding=1)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.merge = nn.Conv2d(12, 4, 3, padding=1)
        self.transposed = nn.ConvTranspose2d(4, 4, 2, stride=2)
        self.exit = nn.Conv2d(12, maps, 1)

    def forward(self, images: Tensor) -> Tensor:
        entered = torch.relu(self.enter(images))
        down = torch.relu(self.down(entered))
        bottom = torch.relu(self.bottom(down))
        merged = torch.relu(self.merge(torch.cat([self.up(bottom), down], dim=1)))
        nearest = functional.interpolate(merged, size=entered.shape[-2:], mode="nearest")
        return self.exit(torch.cat([self.transposed(merged), nearest, entered], dim=1))


def residual(outputs: int = 4) -> nn.Module:
    return randomise(Residual(outputs))


def mobile(outputs: int = 4) -> nn.Module:
    return randomise(Mobile(outputs))


def unet(maps: int = 3) -> nn.Module:
    return randomise(UNet(maps))
