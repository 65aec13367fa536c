"""Rewriting is exact: in float64 the rewritten network equals the captured one to 1e-10."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from tiny_pipelines import captured, sampled_batch_norm
from torch import Tensor, nn
from torch.nn import functional

from usncli import zoo
from usncli.certifying.rewriting import Vocabulary, rewrite, unsupported_operations
from usncli.certifying.rewriting.linear_maps import ScaleShift
from usncli.certifying.rewriting.rules.maxima import window_indices
from usncli.errors import UnsupportedOperationError


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


@pytest.mark.parametrize("name", CASES)
def test_rewritten_equals_captured(name: str) -> None:
    torch.manual_seed(0)
    shape = (2, 10, 9)
    module = sampled_batch_norm(copy.deepcopy(CASES[name]), shape)
    network = captured(module, shape)
    rewritten = rewrite(network, torch.rand(1, *shape))
    images = 2 * torch.rand(5, *shape, dtype=torch.float64) - 0.5
    with torch.no_grad():
        expected = network.double()(images).flatten(1)
    assert torch.allclose(rewritten(images), expected, rtol=0, atol=1e-10 * max(1.0, float(expected.abs().max())))
    kinds = {str(node.target) for node in rewritten.graph.nodes if node.op == "call_function"}
    assert kinds <= {"aten.add.Tensor", "aten.sub.Tensor", "aten.cat.default"}


def test_batch_norm_leaves_no_scale_behind_a_convolution() -> None:
    network = captured(sampled_batch_norm(copy.deepcopy(CASES["batch norm after convolution"]), (2, 10, 9)), (2, 10, 9))
    rewritten = rewrite(network, torch.rand(1, 2, 10, 9))
    assert not any(isinstance(module, ScaleShift) for module in rewritten.modules())


def test_a_layer_that_others_read_keeps_its_own_weights() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.norm = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)

        def forward(self, images: Tensor) -> Tensor:
            features = self.convolution(images)
            return self.norm(features) + features

    network = captured(sampled_batch_norm(Shared(), (2, 5, 5)), (2, 5, 5))
    images = torch.rand(3, 2, 5, 5, dtype=torch.float64)
    rewritten = rewrite(network, images[:1].float())
    assert torch.allclose(rewritten(images), network.double()(images).flatten(1), rtol=0, atol=1e-12)


def test_the_original_is_left_alone() -> None:
    network = captured(sampled_batch_norm(copy.deepcopy(CASES["linear"]), (2, 10, 9)), (2, 10, 9))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    rewrite(network, torch.rand(1, 2, 10, 9))
    assert all(tensor.dtype == before[name].dtype for name, tensor in network.state_dict().items())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_every_unsupported_operation_is_named_at_once() -> None:
    class Unsupported(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Sigmoid(), nn.GELU()
            self.convolution = nn.Conv2d(2, 2, 1)

        def forward(self, images: Tensor) -> Tensor:
            return self.second(self.convolution(self.first(images)) * self.first(images))

    network = captured(Unsupported(), (2, 5, 5))
    found = unsupported_operations(network, torch.rand(1, 2, 5, 5), Vocabulary.RELU)
    assert [item.operation for item in found] == ["sigmoid", "sigmoid", "mul.Tensor", "gelu"]
    with pytest.raises(UnsupportedOperationError, match=r"first.*sigmoid.*second.*gelu") as caught:
        rewrite(network, torch.rand(1, 2, 5, 5))
    assert any("second" in layer for layer in caught.value.layers)
    assert unsupported_operations(captured(nn.Conv2d(2, 2, 1), (2, 5, 5)), torch.rand(1, 2, 5, 5)) == ()


def test_windows_hold_only_inputs_of_their_own() -> None:
    # Positions -1, 1, 3 of a window dilated by 2: the padding is replaced by 1, not by the edge, 0.
    assert window_indices(4, 1, 3, 1, 1, 2).flatten().tolist() == [1, 1, 3]
    assert window_indices(5, 3, 3, 2, 1, 1).T.tolist() == [[0, 0, 1], [1, 2, 3], [3, 4, 3]]
