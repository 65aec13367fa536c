"""Networks of other people's shapes, trained on the embedded aircraft: what users bring."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
import torchvision.models
from subjects import AIRCRAFT, Source, Subject, subject, train_on_aircraft, trained
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.efficientnet import EfficientNet, MBConvConfig
from torchvision.models.mobilenetv3 import InvertedResidualConfig, MobileNetV3

from usncli import zoo
from usncli.types import Task

KEYPOINTS = 8


@dataclass(frozen=True)
class Architecture:
    """A network to train and certify.

    Attributes:
        make: builds it for 64x64 pictures in colour.
        task: what it predicts of the 8 keypoints: coordinates, or a heatmap each.
        steps: of training.
        perturbation: range that its certification is timed for.
    """

    make: Callable[[], nn.Module]
    task: Task
    steps: int
    perturbation: str

    def subject(self, name: str, source: Source) -> Subject:
        """Return it, trained, with test images."""
        network = trained(name, self.make, partial(train_on_aircraft, task=self.task), source, self.steps)
        # The heatmaps' cells are 2 px apart: a peak may move to a neighbour.
        return subject(name, network, zoo.aircraft(100, 64, seed=1), AIRCRAFT, 2.0, self.task)


class UNet(nn.Module):
    """Ronneberger et al. 2015, small: max pools, bilinear resizing, skip connections concatenated; heatmaps at 1/2."""

    def __init__(self, widths: tuple[int, ...] = (8, 16, 32)) -> None:
        super().__init__()
        self.stem = twice(3, widths[0], stride=2)
        self.down = nn.ModuleList(twice(a, b) for a, b in itertools.pairwise(widths))
        self.up = nn.ModuleList(twice(a + b, b) for a, b in itertools.pairwise(widths[::-1]))
        self.heatmaps = nn.Conv2d(widths[0], KEYPOINTS, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Map ``(batch, 3, height, width)`` to ``(batch, 8, height / 2, width / 2)``."""
        levels = [self.stem(images)]
        for stage in self.down:
            levels.append(stage(functional.max_pool2d(levels[-1], 2)))
        features = levels.pop()
        for stage in self.up:
            larger = functional.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)
            features = stage(torch.cat([larger, levels.pop()], dim=1))
        heatmaps: Tensor = self.heatmaps(features)
        return heatmaps


def twice(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Return two convolutions with batch norm and ReLU; the first may have a stride."""
    layers: list[nn.Module] = []
    for before, step in ((inputs, stride), (outputs, 1)):
        layers += [nn.Conv2d(before, outputs, 3, step, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


def mobilenet() -> nn.Module:
    """Build Howard et al.'s MobileNetV3 (hardswish, squeeze-excitation with hardsigmoid) with four blocks, narrow."""
    blocks = [
        InvertedResidualConfig(16, 3, 16, 16, True, "RE", 2, 1, 1.0),
        InvertedResidualConfig(16, 3, 40, 24, False, "RE", 2, 1, 1.0),
        InvertedResidualConfig(24, 5, 64, 24, True, "HS", 2, 1, 1.0),
        InvertedResidualConfig(24, 5, 64, 24, True, "HS", 1, 1, 1.0),
    ]
    return MobileNetV3(blocks, last_channel=64, num_classes=2 * KEYPOINTS)


def efficientnet() -> nn.Module:
    """Build Tan and Le's EfficientNet (SiLU, squeeze-excitation) with four stages, narrow."""
    stages = [
        MBConvConfig(1, 3, 1, 16, 8, 1),
        MBConvConfig(4, 3, 2, 8, 16, 1),
        MBConvConfig(4, 5, 2, 16, 24, 1),
        MBConvConfig(4, 3, 1, 24, 32, 1),
    ]
    return EfficientNet(stages, dropout=0.0, num_classes=2 * KEYPOINTS)


ARCHITECTURES: Mapping[str, Architecture] = {
    "cnn7, 64 to 128 channels": Architecture(lambda: zoo.cnn7(width=4), Task.KEYPOINTS, 200, "brightness=0.02"),
    "torchvision resnet18": Architecture(
        lambda: torchvision.models.resnet18(num_classes=2 * KEYPOINTS), Task.KEYPOINTS, 300, "brightness=0.002"
    ),
    "torchvision mobilenet v3 small": Architecture(
        lambda: torchvision.models.mobilenet_v3_small(num_classes=2 * KEYPOINTS),
        Task.KEYPOINTS,
        400,
        "brightness=0.002",
    ),
    "mobilenet v3, 4 blocks": Architecture(mobilenet, Task.KEYPOINTS, 300, "brightness=0.002"),
    "efficientnet, 4 stages": Architecture(efficientnet, Task.KEYPOINTS, 300, "brightness=0.002"),
    "u-net": Architecture(UNet, Task.HEATMAPS, 300, "brightness=0.02"),
}
"""By name; the ranges are such that each decides within a minute or so an image on a CPU."""
