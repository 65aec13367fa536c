"""A masked network and the network without those channels compute the same, whatever the architecture."""

import pytest
import torch
from torch import nn

from usncli.pruning.masks import ChannelMasker, masked_share
from usncli.pruning.surgery import cut
from usncli.scoring.groups import dependency_groups
from usncli.zoo import cnn7, heatmap_network, resnet18


class Concatenating(nn.Module):
    """Two branches joined along channels, a sigmoid (which makes 1/2 of 0), a flatten into a linear layer."""

    def __init__(self):
        super().__init__()
        self.left = nn.Conv2d(3, 6, 3, padding=1)
        self.right = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5))
        self.joined = nn.Conv2d(11, 7, 3, stride=4)
        self.activation = nn.PReLU(7)
        self.hidden = nn.Linear(7 * 4, 12)
        self.last = nn.Linear(12, 4)

    def forward(self, x):
        both = torch.cat([torch.sigmoid(self.left(x)), torch.relu(self.right(x))], dim=1)
        return self.last(torch.sigmoid(self.hidden(torch.flatten(self.activation(self.joined(both)), 1))))


class Depthwise(nn.Module):
    """A residual sum around a depthwise convolution with a sigmoid, a transposed convolution, instance norm."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.norm = nn.BatchNorm2d(8)
        self.pointwise = nn.Conv2d(8, 8, 1)
        self.up = nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.instance = nn.InstanceNorm2d(6, affine=True)
        self.last = nn.Conv2d(6, 2, 1)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.pointwise(torch.sigmoid(self.norm(self.depthwise(x))))
        return self.last(torch.relu(self.instance(self.up(x))))


NETWORKS = {
    "cnn7": (lambda: cnn7(outputs=4, size=16, width=0.5), 16),
    "resnet18": (lambda: resnet18(outputs=4, width=0.125), 32),
    "heatmap": (lambda: heatmap_network(keypoints=3, width=0.25), 16),
    "concatenating": (Concatenating, 8),
    "depthwise": (Depthwise, 8),
}


def train_masked(network, masker, images, steps):
    """Move all weights, and all running statistics, with the masks applied after every step."""
    network.train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
    for _ in range(steps):
        optimiser.zero_grad()
        network(images).square().mean().backward()
        optimiser.step()
        masker.apply()


@pytest.mark.parametrize("name", NETWORKS)
def test_masked_equals_cut(name):
    build, size = NETWORKS[name]
    torch.manual_seed(0)
    network = build()
    images = torch.rand(4, 3, size, size)
    groups = dependency_groups(network, images[:1])
    assert len(groups) >= 2
    masker = ChannelMasker(network, groups)
    generator = torch.Generator().manual_seed(1)
    train_masked(network, masker, images, 2)  # running statistics that are not those of a fresh network
    before = network.eval()(images)
    for _ in range(2):  # masks that grow, with training in between
        masker.extend({group.name: torch.rand(group.channels, generator=generator) < 0.3 for group in groups})
        smaller = cut(network, groups, masker.masks, images[:2])
        expected = network.eval()(images)
        assert (smaller(images) - expected).abs().max() < 1e-5 * max(1.0, expected.abs().max())
        train_masked(network, masker, images, 2)
    assert (network.eval()(images) - before).abs().max() > 1e-3  # the masks did something
    smaller = cut(network, groups, masker.masks, images[:2])
    expected = network.eval()(images)
    assert (smaller(images) - expected).abs().max() < 1e-5 * max(1.0, expected.abs().max())
    assert masked_share(masker.masks) > 0.25
    sizes = [sum(parameter.numel() for parameter in part.parameters()) for part in (network, smaller)]
    assert sizes[1] < 0.8 * sizes[0]


def test_masked_trains_as_cut():
    """In training mode too, masked channels change nothing: one step moves both networks alike."""
    torch.manual_seed(0)
    network = cnn7(outputs=4, size=16, width=0.5)
    images = torch.rand(8, 3, 16, 16)
    groups = dependency_groups(network, images[:1])
    masker = ChannelMasker(network, groups)
    masker.extend({group.name: torch.arange(group.channels) % 3 == 0 for group in groups})
    smaller = cut(network, groups, masker.masks, images[:2])
    for part in (network, smaller):
        part.train()
        optimiser = torch.optim.SGD(part.parameters(), lr=0.1)
        part(images).square().mean().backward()
        optimiser.step()
    masker.apply()
    assert (network.eval()(images) - smaller.eval()(images)).abs().max() < 1e-5
