from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tests.scoring import small_networks
from usncli import zoo
from usncli.errors import ConfigurationError, InputError, UnsupportedOperationError
from usncli.loading.capture import capture
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Preprocessing
from usncli.perturbing import parse_range
from usncli.scoring.activations import record_activations
from usncli.scoring.options import ScoreOptions
from usncli.scoring.record import GroupScore, ScoreRecord
from usncli.scoring.score import score_network
from usncli.scoring.selection import Overlap
from usncli.scoring.statistics import instability_terms
from usncli.types import Sample, Task


class Images:
    """Images in memory as unlabelled data."""

    task = Task.KEYPOINTS
    label_names = ()
    labelled = False

    def __init__(self, count: int, size: int = 8, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        brightness = torch.rand(count, 1, 1, 1, generator=generator)
        self.images = brightness * torch.rand(count, 3, size, size, generator=generator)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        return Sample(self.images[index], torch.zeros(0, 3), str(index))


def pipeline(network: nn.Module, size: int = 8) -> Pipeline:
    return Pipeline(network, Preprocessing(size, size, mean=(0.4,), std=(0.5,)), Task.KEYPOINTS).eval()


def small_pipeline() -> Pipeline:
    torch.manual_seed(1)
    return pipeline(small_networks.depthwise_separable())


BRIGHTNESS = parse_range("brightness=0.1")
OPTIONS = ScoreOptions(samples=4, batch_size=4)


def by_name(record: ScoreRecord) -> dict[str, GroupScore]:
    return {group.name: group for group in record.groups}


def numbers(record: ScoreRecord) -> Tensor:
    return torch.tensor([value for group in record.groups for value in group.instability], dtype=torch.float64)


@pytest.mark.parametrize("method", ["quadrature", "sobol"])
def test_closed_form_of_a_linear_layer_under_brightness(method: str) -> None:
    weights = torch.tensor([[1.0, 0.0, 0.0], [0.5, -2.0, 1.0], [1.0, 1.0, -2.0]])
    data = Images(10)
    box = parse_range("brightness=-0.05:0.2", clip=False)
    options = ScoreOptions(
        samples=2 if method == "quadrature" else 512, method=method, unbiased_weight=2, smooth_weight=3
    )
    record = score_network(pipeline(small_networks.linear_network(weights)), data, box, options)
    gain = weights.sum(1) / 0.5  # of z in brightness b, normalisation included
    signal = torch.einsum("ck,nkhw->cnhw", weights, (data.images - 0.4) / 0.5).flatten(1).std(1, correction=0)
    (group,) = record.groups
    torch.testing.assert_close(torch.tensor(group.unbiased), (gain.abs() * 0.075 / signal), rtol=2e-3, atol=1e-5)
    torch.testing.assert_close(torch.tensor(group.smooth), gain**2 * 0.25**2 / 12 / signal**2, rtol=2e-3, atol=1e-8)
    expected = 2 * torch.tensor(group.unbiased) ** 2 + 3 * torch.tensor(group.smooth)
    torch.testing.assert_close(torch.tensor(group.instability), expected)
    assert group.importance[group.instability.index(record.median)] == 0.5
    assert group.importance[2] > 0.999


def test_scores_do_not_change_when_a_layer_is_rescaled() -> None:
    torch.manual_seed(0)
    network = small_networks.ConcatenationUNet().eval()
    before = score_network(pipeline(network), Images(6), BRIGHTNESS, OPTIONS)
    with torch.no_grad():
        network.merge[1].weight.mul_(50)
        network.merge[1].bias.mul_(50)
        network.head.weight.div_(50)
        network.up.weight.mul_(0.01)
        network.up.bias.mul_(0.01)
        network.merge[0].weight[:, :5].mul_(100)
    after = score_network(pipeline(network), Images(6), BRIGHTNESS, OPTIONS)
    torch.testing.assert_close(numbers(after), numbers(before), rtol=1e-3, atol=0)


def test_quadrature_equals_monte_carlo_with_many_samples() -> None:
    exact = score_network(small_pipeline(), Images(12), BRIGHTNESS, replace(OPTIONS, samples=12))
    options = replace(OPTIONS, samples=600, method="monte-carlo")
    drawn = score_network(small_pipeline(), Images(12), BRIGHTNESS, options)
    errors = torch.tensor([error for group in drawn.groups for error in group.instability_error], dtype=torch.float64)
    assert (errors > 0).all()
    assert ((numbers(drawn) - numbers(exact)).abs() < 3 * errors).all()
    torch.testing.assert_close(numbers(drawn), numbers(exact), rtol=0.04, atol=0)


@pytest.mark.parametrize("method", ["quadrature", "monte-carlo", "sobol"])
def test_the_batch_size_changes_nothing(method: str) -> None:
    options = replace(OPTIONS, method=method, samples=3)
    whole = score_network(small_pipeline(), Images(7), BRIGHTNESS, replace(options, batch_size=7))
    for batch_size in (1, 3):
        parts = score_network(small_pipeline(), Images(7), BRIGHTNESS, replace(options, batch_size=batch_size))
        torch.testing.assert_close(numbers(parts), numbers(whole), rtol=1e-4, atol=0)
        assert [group.cut for group in parts.groups] == [group.cut for group in whole.groups]


def test_streaming_equals_the_differentiable_formulas_on_recorded_activations() -> None:
    torch.manual_seed(0)
    network = zoo.resnet18(width=0.0625).eval()
    whole, data, box = pipeline(network, 32), Images(5, 32), parse_range("contrast=0.2")
    record = score_network(whole, data, box, replace(OPTIONS, samples=3, batch_size=2))
    group = by_name(record)["layer2.0.conv2"]
    assert group.layers == ("layer2.0.bn2", "layer2.0.downsample.1", "layer2.1.bn2")
    theta = 1 + 0.2 * torch.tensor([[-math.sqrt(0.6)], [0], [math.sqrt(0.6)]])
    with record_activations(network, group.layers) as clean:
        whole(data.images)
    with record_activations(network, group.layers) as perturbed:
        whole(box.perturbation.expand(data.images, theta))
    weights = torch.tensor([5, 8, 5]) / 18
    members = [
        instability_terms(torch.cat([clean[layer].unsqueeze(1), perturbed[layer].unflatten(0, (5, 3))], 1), weights)
        for layer in group.layers
    ]
    unbiased = torch.stack([terms.unbiased for terms in members]).mean(0)
    smooth = torch.stack([terms.smooth for terms in members]).mean(0)
    torch.testing.assert_close(torch.tensor(group.unbiased), unbiased.detach(), rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(torch.tensor(group.instability), (unbiased**2 + smooth).detach(), rtol=1e-3, atol=1e-7)


def test_dead_channels_are_cut_first_and_a_dead_member_does_not_count() -> None:
    torch.manual_seed(0)
    network = zoo.resnet18(width=0.0625).eval()
    with torch.no_grad():
        network.layer1[0].bn1.weight[2] = 0
        network.layer1[0].bn2.weight[1] = 0
    record = score_network(pipeline(network, 32), Images(5, 32), BRIGHTNESS, replace(OPTIONS, ratio=0.01))
    inner, residual = by_name(record)["layer1.0.conv1"], by_name(record)["conv1"]
    assert inner.dead == inner.cut == (2,)
    assert inner.instability[2] == math.inf
    assert inner.importance[2] == 0
    assert residual.dead == ()
    assert math.isfinite(residual.instability[1])
    written = json.loads(json.dumps(record.to_record(), allow_nan=False))
    assert written["schema_version"] == 1
    assert next(group for group in written["groups"] if group["name"] == "layer1.0.conv1")["instability"][2] is None
    assert {group["name"] for group in written["unprunable"]} == {"fc"}


def test_draws_are_a_function_of_the_seed() -> None:
    options = replace(OPTIONS, method="monte-carlo")
    first = score_network(small_pipeline(), Images(6), BRIGHTNESS, options)
    assert first == score_network(small_pipeline(), Images(6), BRIGHTNESS, options)
    assert first != score_network(small_pipeline(), Images(6), BRIGHTNESS, replace(options, seed=1))


@pytest.mark.parametrize("method", ["quadrature", "monte-carlo"])
def test_standard_errors_cover_the_truth(method: str) -> None:
    network = small_pipeline()
    options = replace(OPTIONS, method=method, samples=4, batch_size=50)
    truth = numbers(score_network(network, Images(600, seed=99), BRIGHTNESS, options))
    covered = []
    for seed in range(12):
        record = score_network(network, Images(40, seed=seed), BRIGHTNESS, replace(options, seed=seed))
        errors = torch.tensor([error for group in record.groups for error in group.instability_error])
        covered.append(((numbers(record) - truth).abs() < 2 * errors).double().mean())
    assert 0.8 < torch.stack(covered).mean() < 0.999


def test_overlaps_of_images_and_thetas() -> None:
    drawn = score_network(small_pipeline(), Images(40), BRIGHTNESS, replace(OPTIONS, method="monte-carlo", samples=8))
    assert drawn.overlap_images is not None
    assert drawn.overlap_thetas is not None
    assert 0 <= drawn.overlap_thetas.jaccard <= drawn.overlap_thetas.share <= 1
    nodes = score_network(small_pipeline(), Images(3), BRIGHTNESS, OPTIONS)
    assert nodes.overlap_images is None
    assert nodes.overlap_thetas is None
    assert nodes.cut == sum(len(group.cut) for group in nodes.groups) == round(0.2 * nodes.channels)
    pair = score_network(small_pipeline(), Images(2), BRIGHTNESS, OPTIONS)
    assert all(math.isnan(error) for group in pair.groups for error in group.instability_error)


class Dyed(Images):
    """Images of which only one colour varies: of every other one, or of none, another colour."""

    def __init__(self, count: int, *, mixed: bool) -> None:
        super().__init__(count)
        self.images[:, 1:] = 0.5
        if mixed:
            self.images[::2] = self.images[::2].roll(1, dims=1)


def test_halves_of_images_that_differ_make_a_cut_set_unstable() -> None:
    a_channel_a_colour = pipeline(small_networks.linear_network(torch.eye(3)))
    options = replace(OPTIONS, ratio=1 / 3)
    alike = score_network(a_channel_a_colour, Dyed(16, mixed=False), BRIGHTNESS, options)
    assert (alike.cut, alike.overlap_images, alike.limited_by) == (1, Overlap(1.0, 1.0), None)
    mixed = score_network(a_channel_a_colour, Dyed(16, mixed=True), BRIGHTNESS, options)
    assert (mixed.cut, mixed.overlap_images, mixed.limited_by) == (1, Overlap(0.0, 0.0), "images")


def test_a_captured_network_scores_like_the_module_it_came_from() -> None:
    torch.manual_seed(0)
    module = zoo.cnn7(size=16, width=0.25).eval()
    captured = capture(module, torch.rand(2, 3, 16, 16))
    joint = parse_range("brightness=0.1,contrast=0.2")
    plain = score_network(pipeline(module, 16), Images(4, 16), joint, OPTIONS, exclude=["blocks.1.*"])
    other = score_network(pipeline(captured, 16), Images(4, 16), joint, OPTIONS, exclude=["blocks.1.*"])
    assert [group.name for group in other.groups] == [group.name for group in plain.groups]
    assert "blocks.1.convolution" not in by_name(plain)
    assert plain.thetas == 4
    torch.testing.assert_close(numbers(other), numbers(plain), rtol=1e-3, atol=0)


class Breaking(Images):
    def __getitem__(self, index: int) -> Sample:
        if index == 5:
            raise OSError("unreadable")
        return super().__getitem__(index)


def test_hooks_and_modes_are_put_back_even_after_an_exception() -> None:
    whole = small_pipeline().train()
    whole.network[3].eval()
    modes = [module.training for module in whole.modules()]
    with pytest.raises(OSError, match="unreadable"):
        score_network(whole, Breaking(8), BRIGHTNESS, OPTIONS)
    score_network(whole, Images(4), BRIGHTNESS, OPTIONS)
    assert [module.training for module in whole.modules()] == modes
    assert not any(module._forward_hooks for module in whole.modules())
    assert all(parameter.grad is None for parameter in whole.parameters())


def test_progress_and_a_limit_of_images() -> None:
    updates = []
    options = replace(OPTIONS, images=6)
    record = score_network(small_pipeline(), Images(9), BRIGHTNESS, options, progress=updates.append)
    assert [(update.done, update.total) for update in updates] == [(4, 6), (6, 6)]
    assert record.images == 6


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="expected at least 2"):
        score_network(small_pipeline(), Images(1), BRIGHTNESS, OPTIONS)
    broken = small_pipeline()
    with torch.no_grad():
        broken.network[5].weight[0] = torch.nan
    with pytest.raises(InputError, match="layer 5: expected finite activations"):
        score_network(broken, Images(4), BRIGHTNESS, OPTIONS)
    only_outputs = pipeline(nn.Sequential(nn.Flatten(), nn.Linear(192, 4)))
    with pytest.raises(UnsupportedOperationError, match="1: its channels are the network's outputs"):
        score_network(only_outputs, Images(4), BRIGHTNESS, OPTIONS)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("ratio", 1.0, "ratio: expected a share"),
        ("ratio", -0.1, "ratio: expected a share"),
        ("samples", 1, "a variance needs two"),
        ("method", "sobl", "did you mean 'sobol'"),
        ("unbiased_weight", -1.0, "not negative"),
        ("smooth_weight", math.nan, "not negative"),
        ("batch_size", 0, "at least 1"),
        ("images", 1, "a signal needs two"),
        ("seed", -1, "seed"),
        ("floor", 1.5, "floor"),
    ],
)
def test_options_out_of_range_are_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ScoreOptions(**{field: value})
    with pytest.raises(ConfigurationError, match="above 0"):
        ScoreOptions(unbiased_weight=0.0, smooth_weight=0.0)
