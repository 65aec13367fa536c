"""A network of a few hundred weights, and what commands are tested on; also what ``--arch`` names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

SIDE = 8
CLASSES = ("dark", "light")


def build(channels: int = 6, outputs: int = 2) -> nn.Module:
    """A classifier of 8x8 RGB images."""
    return nn.Sequential(
        nn.Conv2d(3, channels, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, 4, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16, outputs),
    ).eval()


def seeded(**arguments: int) -> nn.Module:
    """The same with weights that are the same each time."""
    generator = torch.Generator().manual_seed(0)
    network = build(**arguments)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
        network[1].running_var.fill_(0.5)
    return network


def light_or_dark() -> nn.Module:
    """Tells light images from dark ones, if normalisation has taken the grey between them away."""
    network = nn.Sequential(nn.AvgPool2d(SIDE), nn.Flatten(), nn.Linear(3, len(CLASSES), bias=False)).eval()
    with torch.no_grad():
        network[2].weight.copy_(torch.tensor([[-1.0], [1.0]]).expand(2, 3))
    return network


def build_and_refuse() -> nn.Module:
    """A factory that fails."""
    raise RuntimeError("the factory's own trouble")


def write_images(folder: Path, count: int = 6) -> None:
    """A folder a class, of small noisy pictures."""
    generator = np.random.default_rng(0)
    for index in range(count):
        name = CLASSES[index % 2]
        (folder / name).mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 100, (SIDE, SIDE, 3), dtype=np.uint8) + 120 * (index % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{index:02d}.png")
