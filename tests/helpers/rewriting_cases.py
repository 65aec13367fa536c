"""Layers and operations that are rewritten, by name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from usncli import zoo

SHAPE = (2, 10, 9)


class Apply(nn.Module):
    """A convolution, then a function of its (signed) values."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 4, 3, padding=1)
        self.function = function

    def forward(self, images: Tensor) -> Tensor:
        return self.function(self.convolution(images))


def residual(x: Tensor) -> Tensor:
    return torch.cat([functional.relu(x) + x, x - 2 * functional.relu(x), 3 - x, x * torch.tensor(0.5)], dim=1)


def split(x: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=1)
    return functional.relu(first) - second.transpose(2, 3)


CASES: dict[str, nn.Module] = {
    "batch norm after convolution": nn.Sequential(nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU()),
    "batch norm first": nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3, padding=1)),
    "batch norm after relu": nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1)),
    "transposed": nn.Sequential(nn.ConvTranspose2d(2, 4, 3, 2, 1, 1), nn.BatchNorm2d(4), nn.ReLU()),
    "grouped, dilated, strided": nn.Sequential(nn.Conv2d(2, 4, 3, 2, 2, 2, groups=2), nn.BatchNorm2d(4)),
    "uneven dilation": nn.Conv2d(2, 3, 3, padding=(1, 2), dilation=(1, 2)),
    "padding by name": nn.Conv2d(2, 3, (2, 3), padding="same"),
    "linear": nn.Sequential(nn.Flatten(), nn.Linear(2 * 10 * 9, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 3)),
    "linear on rows": nn.Linear(9, 4),
    "max pool with another stride": Apply(lambda x: functional.max_pool2d(x, 3, 2, 1)),
    "max pool of even size": Apply(lambda x: functional.max_pool2d(x, 2)),
    "max pool dilated": Apply(lambda x: functional.max_pool2d(x, 3, 1, 1, 2)),
    "max pool rounded up": Apply(lambda x: functional.max_pool2d(x, 3, 2, 1, ceil_mode=True)),
    "average pool": Apply(lambda x: functional.avg_pool2d(x, 3, 2, 1)),
    "average pool without padding counted": Apply(lambda x: functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False)),
    "adaptive pool": Apply(lambda x: functional.adaptive_avg_pool2d(x, (3, 4))),
    "mean": Apply(lambda x: x.mean((2, 3))),
    "clamp": Apply(lambda x: x.clamp(-0.2, 0.3)),
    "clamp below": Apply(lambda x: x.clamp(min=0.1)),
    "hardtanh": Apply(lambda x: functional.hardtanh(x, -0.1, 0.2)),
    "relu6": Apply(lambda x: functional.relu6(20 * x)),
    "leaky relu": Apply(lambda x: functional.leaky_relu(x, 0.2)),
    "prelu": nn.Sequential(nn.Conv2d(2, 4, 3), nn.PReLU(4), nn.PReLU()),
    "absolute": Apply(torch.abs),
    "maximum": Apply(lambda x: torch.maximum(x, -x) + torch.minimum(x, 2 * x)),
    "upsample nearest": Apply(lambda x: functional.interpolate(x, scale_factor=2)),
    "upsample bilinear": Apply(lambda x: functional.interpolate(x, scale_factor=2, mode="bilinear")),
    "pixel shuffle": Apply(lambda x: functional.pixel_shuffle(x, 2)),
    "pad": Apply(lambda x: functional.pad(x, (1, 2, 0, 1), value=0.7)),
    "sums, differences, concatenation": Apply(residual),
    "parts": nn.Sequential(nn.AdaptiveAvgPool2d(6), Apply(split)),
    "dropout": nn.Sequential(nn.Dropout(), nn.Conv2d(2, 2, 1), nn.Dropout2d()),
    "resnet18": zoo.resnet18(outputs=4, channels=2, width=0.05),
    "heatmaps": nn.Sequential(nn.Upsample((16, 16)), zoo.heatmap_network(2, 2, 0.1)),
}


def gate(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x.mean((2, 3), keepdim=True))


def with_constants(x: Tensor) -> Tensor:
    rows = torch.arange(x.shape[3], dtype=x.dtype).expand(1, 1, x.shape[2], -1)
    return torch.cat([rows.expand(x.shape[0], -1, -1, -1), x, torch.ones_like(x[:, :1])], dim=1)


FULL_CASES: dict[str, nn.Module] = {
    "sigmoid, tanh, exp": Apply(lambda x: torch.sigmoid(x) + torch.tanh(2 * x) - torch.exp(x / 3)),
    "silu, gelu, mish": Apply(lambda x: functional.silu(x) - functional.gelu(x) + functional.mish(4 * x)),
    "gelu by tanh": Apply(lambda x: functional.gelu(3 * x, approximate="tanh")),
    "hardswish, hardsigmoid": Apply(lambda x: functional.hardswish(9 * x) - functional.hardsigmoid(7 * x)),
    "softplus": Apply(lambda x: functional.softplus(x) - functional.softplus(9 * x, beta=3.0, threshold=5.0)),
    "elu, selu": Apply(lambda x: functional.elu(x, 0.7) + functional.selu(x)),
    "squares": Apply(lambda x: x * x - (x + 1) ** 2 + torch.square(2 * x)),
    "product": Apply(lambda x: x * functional.relu(1 - x)),
    "gate": Apply(gate),
    "sum with broadcasting": Apply(lambda x: x - x.mean(1, keepdim=True) + x.sum((1, 3), keepdim=True)),
    "concatenation with constants": Apply(with_constants),
    "stack": Apply(lambda x: torch.stack([x, 2 * x], dim=2)),
    "padding by values": nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=2, padding_mode="reflect"),
        nn.Conv2d(3, 3, 3, padding=(1, 2), padding_mode="replicate"),
        nn.Conv2d(3, 2, 3, padding="same", padding_mode="circular"),
    ),
    "pads": Apply(
        lambda x: functional.pad(functional.pad(x, (3, 1, 0, 2), mode="reflect"), (1, 2, 2, 0), mode="replicate")
    ),
    "transposed, grouped and dilated": nn.Sequential(
        nn.ConvTranspose2d(2, 4, 3, 2, 1, 2, groups=2, dilation=3), nn.BatchNorm2d(4)
    ),
    "along a line": nn.Sequential(
        nn.Flatten(2),
        nn.Conv1d(2, 4, 5, 2, 3, 2),
        nn.BatchNorm1d(4),
        nn.PReLU(4),
        nn.MaxPool1d(3, 2, 1),
        nn.ConvTranspose1d(4, 3, 3, 2),
        nn.AdaptiveAvgPool1d(7),
        nn.Upsample(scale_factor=1.7, mode="linear"),
    ),
    "global maximum": Apply(lambda x: torch.amax(x, (2, 3))),
    "adaptive pool to more": Apply(lambda x: functional.adaptive_avg_pool2d(x, (13, 4))),
    "resize to any size": Apply(
        lambda x: (
            functional.interpolate(x, (13, 7))
            - functional.interpolate(x, (13, 7), mode="bilinear")
            + functional.interpolate(x, (13, 7), mode="bilinear", align_corners=True)
        )
    ),
    "copies": Apply(lambda x: x.repeat(1, 2, 1, 3).roll(2, 3).flip(2).expand(-1, -1, -1, -1)),
    "division": Apply(lambda x: (x / 3 + 7) / torch.tensor([[[2.0]], [[3.0]], [[0.3]], [[-1.0]]])),
}
