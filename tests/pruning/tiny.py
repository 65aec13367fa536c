"""Tiny data and a tiny captured network that trains in milliseconds, built without the cost of an export."""

import torch
from torch import fx, nn

from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Colour, Preprocessing
from usncli.types import Sample, Task


class Dots:
    """Grey images with one bright square; its centre is the keypoint."""

    task = Task.KEYPOINTS
    label_names = ("dot",)
    labelled = True

    def __init__(self, count=48, size=8, seed=0):
        generator = torch.Generator().manual_seed(seed)
        self.positions = torch.randint(1, size - 1, (count, 2), generator=generator)
        self.images = 0.2 * torch.rand(count, 1, size, size, generator=generator)
        for image, (x, y) in zip(self.images, self.positions, strict=True):
            image[0, y - 1 : y + 2, x - 1 : x + 2] += 0.6

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        x, y = (self.positions[index] + 0.5).tolist()
        return Sample(self.images[index], torch.tensor([[x, y, 1.0]]), f"dot-{index}")


class TinyNetwork(nn.Module):
    """Two convolutions, batch norm, dropout and a linear layer, with the calls that a captured network makes."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 8, 3, stride=2)
        self.dropout = nn.Dropout(0.1)
        self.last = nn.Linear(8 * 9, 2)

    def forward(self, x):
        aten = torch.ops.aten
        x = aten.relu.default(self.norm(self.first(x)))
        x = aten.relu.default(self.second(x))
        return self.last(self.dropout(aten.flatten.using_ints(x, 1)))


def make_pipeline(seed=0):
    """Return the same pipeline each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = fx.symbolic_trace(TinyNetwork())
    return Pipeline(network, Preprocessing(8, 8, Colour.GREY, (0.3,), (0.2,)), Task.KEYPOINTS).eval()
