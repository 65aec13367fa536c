import pytest
import torch
from torch import nn

from tests.scoring import small_networks
from usncli.loading.capture import capture
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Colour, Preprocessing
from usncli.pruning.complexity import MaskedComplexity, measure_complexity
from usncli.pruning.masks import ChannelMasker
from usncli.pruning.surgery import cut
from usncli.scoring.groups import dependency_groups
from usncli.types import Task


def pipeline_of(network, size, channels, task=Task.CLASSIFICATION):
    colour = Colour.RGB if channels == 3 else Colour.GREY
    return Pipeline(network, Preprocessing(size, size, colour), task)


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


@pytest.mark.parametrize(
    "build",
    [
        small_networks.ConcatenationUNet,
        small_networks.depthwise_separable,
        small_networks.grouped,
        small_networks.LinearDecoder,
    ],
    ids=lambda build: build.__name__,
)
def test_masked_complexity_is_that_of_the_cut_network(build):
    task = Task.CLASSIFICATION if build == small_networks.depthwise_separable else Task.HEATMAPS
    generator = torch.Generator().manual_seed(0)
    example = torch.rand(2, 3, 8, 8, generator=generator)
    pipeline = pipeline_of(capture(build().eval(), example), 8, 3, task)
    groups = dependency_groups(pipeline.network, example)
    masked = MaskedComplexity(pipeline, groups)
    assert groups
    masker = ChannelMasker(pipeline.network, groups)
    assert masked(masker.masks) == masked.whole == measure_complexity(pipeline)
    for share in (0.2, 0.4, 0.9):
        drawn = {group.name: torch.rand(group.channels, generator=generator) < share for group in groups}
        for mask in drawn.values():
            mask[-1] = False
        masker.extend(drawn)
        smaller = pipeline_of(cut(pipeline.network, groups, masker.masks, example), 8, 3, task)
        assert masked(masker.masks) == measure_complexity(smaller)
    assert masked(masker.masks) < masked.whole
