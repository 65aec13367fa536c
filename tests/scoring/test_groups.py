from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch_pruning
from torch import Tensor, nn

from tests.scoring import small_networks
from usncli import zoo
from usncli.errors import ConfigurationError
from usncli.scoring.groups import DependencyGroup, analyse_groups, dependency_groups

NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "cnn7": (lambda: zoo.cnn7(size=16, width=0.5), 16),
    "resnet18": (lambda: zoo.resnet18(width=0.125), 32),
    "heatmaps": (lambda: zoo.heatmap_network(keypoints=3, width=0.25), 32),
    "concatenation": (small_networks.ConcatenationUNet, 8),
    "depthwise": (small_networks.depthwise_separable, 8),
    "grouped": (small_networks.grouped, 8),
}


def zero(network: nn.Module, group: DependencyGroup, channels: list[int]) -> None:
    """Zero the slices of some channels, written independently of the package."""
    for member in group.members:
        module = network.get_submodule(member.module)
        indices = [index for channel in channels for index in member.indices[channel]]
        transposed = isinstance(module, nn.ConvTranspose2d)
        with torch.no_grad():
            for name, parameter in module.named_parameters(recurse=False):
                if name == "weight" and parameter.dim() > 1 and (member.side == "in") != transposed:
                    parameter[:, indices] = 0
                elif name == "weight" or member.side == "out":
                    parameter[indices] = 0


def cut(network: nn.Module, group: DependencyGroup, channels: list[int], images: Tensor) -> None:
    graph = torch_pruning.DependencyGraph().build_dependency(network, [images], verbose=False)
    root = network.get_submodule(group.name)
    made = next(member for member in group.members if member.module == group.name and member.side == "out")
    indices = [index for channel in channels for index in made.indices[channel]]
    graph.get_pruning_group(root, graph.get_pruner_of_module(root).prune_out_channels, indices).prune()


def with_lively_statistics(network: nn.Module) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
    return network.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_zeroing_the_slices_of_channels_equals_cutting_them_out(name: str) -> None:
    build, size = NETWORKS[name]
    torch.manual_seed(3)
    weights = with_lively_statistics(build()).state_dict()
    images = torch.rand(2, 3, size, size)
    groups = dependency_groups(build(), images)
    assert groups
    masked, smaller = build().eval(), build().eval()
    masked.load_state_dict(weights)
    smaller.load_state_dict(weights)
    before = masked(images)
    for group in groups:
        channels = list(range(0, group.channels, 3))[: group.channels - 1]
        zero(masked, group, channels)
        cut(smaller, group, channels, images)
    assert sum(p.numel() for p in smaller.parameters()) < 0.75 * sum(p.numel() for p in masked.parameters())
    torch.testing.assert_close(smaller(images), masked(images), atol=1e-5, rtol=1e-5)
    assert (before - masked(images)).abs().max() > 1e-3


def by_name(network: nn.Module, size: int = 8) -> dict[str, DependencyGroup]:
    return {group.name: group for group in dependency_groups(network, torch.rand(1, 3, size, size))}


def test_residual_sum_is_one_group_scored_at_each_batch_norm() -> None:
    group = by_name(zoo.resnet18(width=0.125), 32)["layer2.0.conv2"]
    assert group.channels == 16
    assert [layer.module for layer in group.scored] == ["layer2.0.bn2", "layer2.0.downsample.1", "layer2.1.bn2"]
    consumers = {member.module for member in group.members if member.side == "in"}
    assert consumers == {"layer2.1.conv1", "layer3.0.conv1", "layer3.0.downsample.0"}


def test_concatenation_offsets_and_prelu_weights() -> None:
    groups = by_name(small_networks.ConcatenationUNet())
    assert {name: group.channels for name, group in groups.items()} == {"stem.0": 6, "down.0": 8, "up": 5, "merge.0": 7}
    sides = {name: {(m.module, m.side): m.indices for m in group.members} for name, group in groups.items()}
    assert sides["stem.0"]["merge.0", "in"] == tuple((5 + channel,) for channel in range(6))
    assert sides["up"]["merge.0", "in"] == tuple((channel,) for channel in range(5))
    assert ("down.2", "out") in sides["down.0"]
    assert [layer.module for layer in groups["up"].scored] == ["up"]


def test_flatten_maps_a_channel_to_all_its_positions() -> None:
    group = by_name(zoo.cnn7(size=16, width=0.5), 16)["blocks.4.convolution"]
    (member,) = [member for member in group.members if member.module == "hidden"]
    assert member.indices[0] == (0, 1, 2, 3)
    assert member.indices[-1] == (60, 61, 62, 63)


def test_depthwise_convolution_joins_its_input_and_is_scored_too() -> None:
    group = by_name(small_networks.depthwise_separable())["0"]
    assert [(m.module, m.side) for m in group.members] == [("0", "out"), ("2", "out"), ("3", "out"), ("5", "in")]
    assert [layer.module for layer in group.scored] == ["0", "3"]


def test_grouped_convolution_takes_one_channel_of_each_group() -> None:
    groups = by_name(small_networks.grouped())
    sides = {(m.module, m.side): m.indices for group in groups.values() for m in group.members}
    assert sides["0", "out"] == ((0, 4), (1, 5), (2, 6), (3, 7))
    assert sides["2", "in"] == ((0,), (1,), (2,), (3,))
    assert sides["2", "out"][0] == (0, 6)


def test_outputs_and_excluded_layers_are_left_alone() -> None:
    network = zoo.resnet18(width=0.125)
    analysis = analyse_groups(network, torch.rand(1, 3, 32, 32), exclude=["layer1.1", "layer3.0.conv1"])
    reasons = {group.name: group.reason for group in analysis.unprunable}
    assert reasons["fc"] == "its channels are the network's outputs"
    assert reasons["conv1"] == reasons["layer1.1.conv1"] == "excluded by name (layer1.1)"
    assert "layer3.0.conv1" in reasons
    assert not set(reasons) & {group.name for group in analysis.groups}
    with pytest.raises(ConfigurationError, match="no layer 'layer9'; did you mean"):
        dependency_groups(network, torch.rand(1, 3, 32, 32), exclude=["layer9"])


def test_what_cannot_be_cut_safely_is_named_with_its_reason() -> None:
    shared = analyse_groups(small_networks.SharedInput(), torch.rand(1, 3, 8, 8))
    assert [group.name for group in shared.groups] == ["second"]
    assert "does not run once channels are cut" in shared.unprunable[0].reason
    mixing = analyse_groups(small_networks.Mixing(), torch.rand(1, 3, 8, 8))
    reasons = {group.name: group.reason for group in mixing.unprunable}
    assert [group.name for group in mixing.groups] == ["plain"]
    assert "not the same as zeroing" in reasons["softmaxed"]
    assert "not the same as zeroing" in reasons["permuted"]
    assert reasons["normalised"] == "GroupNorm mixes its channels"
    decoder = analyse_groups(small_networks.LinearDecoder(), torch.rand(1, 3, 8, 8))
    assert [group.name for group in decoder.groups] == ["encode"]


def test_the_network_stays_as_it_was_and_the_order_is_repeatable() -> None:
    network = zoo.cnn7(size=16, width=0.5).train().requires_grad_(False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        first = dependency_groups(network, torch.rand(4, 3, 16, 16))
    assert first == dependency_groups(network, torch.rand(1, 3, 16, 16))
    assert [group.name for group in first] == [f"blocks.{number}.convolution" for number in range(5)] + ["hidden"]
    assert network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
