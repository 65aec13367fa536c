"""Tiny data and a tiny network that trains in milliseconds."""

import pytest
import torch
from torch import nn

from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Colour, Preprocessing
from usncli.types import Sample, Task


class Dots:
    """Grey images with one bright square; its centre is the keypoint."""

    task = Task.KEYPOINTS
    label_names = ("dot",)
    labelled = True

    def __init__(self, count=48, size=8):
        generator = torch.Generator().manual_seed(0)
        self.positions = torch.randint(1, size - 1, (count, 2), generator=generator)
        self.images = 0.2 * torch.rand(count, 1, size, size, generator=generator)
        for image, (x, y) in zip(self.images, self.positions, strict=True):
            image[0, y - 1 : y + 2, x - 1 : x + 2] += 0.6

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        x, y = (self.positions[index] + 0.5).tolist()
        return Sample(self.images[index], torch.tensor([[x, y, 1.0]]), f"dot-{index}")


@pytest.fixture
def dots():
    return Dots()


@pytest.fixture
def make_pipeline():
    """Return a function that builds the same small network with dropout each time."""

    def make():
        torch.manual_seed(0)
        network = nn.Sequential()
        network.add_module("first", nn.Conv2d(1, 6, 3, padding=1))
        network.add_module("norm", nn.BatchNorm2d(6))
        network.add_module("relu", nn.ReLU())
        network.add_module("second", nn.Conv2d(6, 8, 3, stride=2))
        network.add_module("relu_2", nn.ReLU())
        network.add_module("flatten", nn.Flatten())
        network.add_module("dropout", nn.Dropout(0.1))
        network.add_module("last", nn.Linear(8 * 9, 2))
        return Pipeline(network, Preprocessing(8, 8, Colour.GREY, (0.3,), (0.2,)), Task.KEYPOINTS).eval()

    return make
