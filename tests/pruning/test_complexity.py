import torch
from torch import nn

from usncli.pruning.complexity import measure_complexity


def test_counts_by_hand():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(8, 4, 2, stride=2), nn.Flatten()
    )
    network.append(nn.Linear(4 * 10 * 10, 7))
    network.train()
    complexity = measure_complexity(network, torch.zeros(2, 3, 5, 5))
    assert complexity.parameters == (3 * 8 * 9 + 8) + (8 * 4 * 4 + 4) + (400 * 7 + 7)
    assert complexity.multiply_adds == 25 * 3 * 8 * 9 + 25 * 8 * 4 * 4 + 400 * 7
    assert network.training


def test_a_depthwise_convolution_costs_one_channel_each():
    network = nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False)
    assert measure_complexity(network, torch.zeros(1, 6, 4, 4)) == (54, 16 * 54)
