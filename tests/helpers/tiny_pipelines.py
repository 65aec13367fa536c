"""Tiny captured pipelines for the tests of certification."""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn

from usncli.loading.capture import capture
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Colour, KeypointUnits, Preprocessing
from usncli.types import Sample, Task


class Data:
    """Images with labels, in memory."""

    def __init__(self, samples: list[Sample], task: Task, labelled: bool = True) -> None:
        self.samples = samples
        self.task = task
        self.label_names: tuple[str, ...] = ()
        self.labelled = labelled

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


def captured(module: nn.Module, shape: tuple[int, int, int]) -> fx.GraphModule:
    return capture(module.eval(), torch.rand(2, *shape, generator=torch.Generator().manual_seed(3)))


def linear_of_pixels(weights: list[list[float]], bias: list[float]) -> nn.Module:
    layer = nn.Linear(len(weights[0]), len(weights))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weights))
        layer.bias.copy_(torch.tensor(bias))
    return nn.Sequential(nn.Flatten(), layer)


def grey_pipeline(
    module: nn.Module, size: tuple[int, int], task: Task, mean: float = 0.0, std: float = 1.0
) -> Pipeline:
    preprocessing = Preprocessing(*size, Colour.GREY, (mean,), (std,), KeypointUnits.PIXEL)
    return Pipeline(captured(module, (1, *size)), preprocessing, task)


def one_image(pixels: Tensor, target: Tensor, task: Task = Task.CLASSIFICATION, labelled: bool = True) -> Data:
    return Data([Sample(pixels, target, "image")], task, labelled)


def sampled_batch_norm(module: nn.Module, shape: tuple[int, int, int], seed: int = 0) -> nn.Module:
    """Give batch norms statistics and weights that are not the defaults."""
    generator = torch.Generator().manual_seed(seed)
    module.train()
    for _ in range(3):
        module(torch.rand(8, *shape, generator=generator))
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            with torch.no_grad():
                part.weight.uniform_(0.5, 1.5, generator=generator)
                part.bias.normal_(0, 0.3, generator=generator)
    return module.eval()
