"""Tiny networks, each with one kind of coupling between channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConcatenationUNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU())
        self.down = nn.Sequential(nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.PReLU(8))
        self.up = nn.ConvTranspose2d(8, 5, 2, stride=2)
        self.merge = nn.Sequential(nn.Conv2d(11, 7, 3, padding=1), nn.BatchNorm2d(7), nn.ReLU())
        self.head = nn.Conv2d(7, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        skip = self.stem(images)
        up = torch.relu(self.up(self.down(skip)))
        result: Tensor = self.head(self.merge(torch.cat([up, skip], dim=1)))
        return result


def depthwise_separable() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.PReLU(),
        nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 9, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(9 * 64, 4),
    )


def grouped() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, padding=1, groups=2),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Conv2d(12, 2, 1),
    )


class LinearDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(3 * 64, 5)
        self.hidden = nn.Linear(5, 4 * 4)
        self.unflatten = nn.Unflatten(1, (-1, 2, 2))
        self.head = nn.ConvTranspose2d(4, 2, 2, stride=2)

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.hidden(torch.relu(self.encode(images.flatten(1)))))
        result: Tensor = self.head(self.unflatten(hidden))
        return result


class SharedInput(nn.Module):
    """A sum with the network's input, which no cut can narrow."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 3, padding=1)
        self.second = nn.Conv2d(3, 6, 3, padding=1)
        self.head = nn.Conv2d(6, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        result: Tensor = self.head(torch.relu(self.second(torch.relu(self.first(images) + images))))
        return result


class Mixing(nn.Module):
    """Operations that mix channels: a softmax over them, and a flatten with the channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.softmaxed = nn.Conv2d(3, 6, 3, padding=1)
        self.plain = nn.Conv2d(6, 6, 3, padding=1)
        self.normalised = nn.Conv2d(6, 4, 3, padding=1)
        self.norm = nn.GroupNorm(2, 4)
        self.permuted = nn.Conv2d(4, 5, 3, padding=1)
        self.head = nn.Linear(5 * 64, 3)

    def forward(self, images: Tensor) -> Tensor:
        features = torch.relu(self.plain(self.softmaxed(images).softmax(dim=1)))
        features = self.permuted(torch.relu(self.norm(self.normalised(features))))
        result: Tensor = self.head(features.permute(0, 2, 3, 1).flatten(1))
        return result


def linear_network(weights: Tensor) -> nn.Module:
    """A 1x1 convolution ``(channels, 3)`` whose pre-activations are linear in the image, with a head behind it."""
    first = nn.Conv2d(3, weights.shape[0], 1)
    head = nn.Conv2d(weights.shape[0], 2, 1)
    with torch.no_grad():
        first.weight.copy_(weights.view(-1, 3, 1, 1))
        first.bias.zero_()
    return nn.Sequential(first, nn.ReLU(), head, nn.Flatten())
