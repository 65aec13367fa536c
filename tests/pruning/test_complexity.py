from torch import nn

from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Colour, Preprocessing
from usncli.pruning.complexity import measure_complexity
from usncli.types import Task


def pipeline_of(network, size, channels):
    colour = Colour.RGB if channels == 3 else Colour.GREY
    return Pipeline(network, Preprocessing(size, size, colour), Task.CLASSIFICATION)


def test_counts_by_hand():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(8, 4, 2, stride=2), nn.Flatten()
    )
    network.append(nn.Linear(4 * 10 * 10, 7))
    network.train()
    complexity = measure_complexity(pipeline_of(network, 5, 3))
    assert complexity.parameters == (3 * 8 * 9 + 8) + (8 * 4 * 4 + 4) + (400 * 7 + 7)
    assert complexity.multiply_adds == 25 * 3 * 8 * 9 + 25 * 8 * 4 * 4 + 400 * 7
    assert network.training


def test_a_depthwise_convolution_costs_one_channel_each():
    network = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1, groups=3, bias=False), nn.Flatten())
    assert measure_complexity(pipeline_of(network, 4, 3)) == (27, 16 * 27)
