"""Rewriting is exact: in float64 the rewritten network equals the captured one to 1e-10."""

from __future__ import annotations

import copy

import pytest
import torch
from rewriting_cases import CASES, FULL_CASES, SHAPE
from tiny_pipelines import captured, sampled_batch_norm
from torch import Tensor, nn

from usncli.bounding.rewriting import Vocabulary, rewrite, unsupported_operations
from usncli.bounding.rewriting.activation import Activation, Function
from usncli.bounding.rewriting.builder import ADD, CONCATENATE, SUBTRACT
from usncli.bounding.rewriting.combining import MaximumOverWindows, Product
from usncli.bounding.rewriting.linear_maps import LinearMap, ScaleShift
from usncli.bounding.rewriting.rules.maxima import window_indices
from usncli.errors import UnsupportedOperationError
from usncli.loading.operations import module_of


@pytest.mark.parametrize(
    ("name", "vocabulary"),
    [*((name, Vocabulary.RELU) for name in CASES), *((name, Vocabulary.FULL) for name in {**CASES, **FULL_CASES})],
)
def test_rewritten_equals_captured(name: str, vocabulary: Vocabulary) -> None:
    torch.manual_seed(0)
    module = sampled_batch_norm(copy.deepcopy({**CASES, **FULL_CASES}[name]), SHAPE)
    network = captured(module, SHAPE)
    rewritten = rewrite(network, torch.rand(1, *SHAPE), vocabulary=vocabulary)
    images = 2 * torch.rand(5, *SHAPE, dtype=torch.float64) - 0.5
    with torch.no_grad():
        expected = network.double()(images).flatten(1)
    assert torch.allclose(rewritten(images), expected, rtol=0, atol=1e-10 * max(1.0, float(expected.abs().max())))
    functions = {node.target for node in rewritten.graph.nodes if node.op == "call_function"}
    assert functions <= {ADD, SUBTRACT, CONCATENATE}
    layers = [module_of(rewritten, node) for node in rewritten.graph.nodes if node.op == "call_module"]
    combining = () if vocabulary is Vocabulary.RELU else (Product, MaximumOverWindows)
    known = (LinearMap, Activation, *combining)
    assert all(isinstance(layer, known) for layer in layers)
    if vocabulary is Vocabulary.RELU:
        assert {layer.function for layer in layers if isinstance(layer, Activation)} <= {Function.RELU}


def test_single_activations_stay_single() -> None:
    network = captured(nn.Sequential(nn.Conv2d(2, 4, 3), nn.PReLU(4), nn.ReLU6(), nn.LeakyReLU(), nn.Hardtanh()), SHAPE)
    rewritten = rewrite(network, torch.rand(1, *SHAPE), vocabulary=Vocabulary.FULL)
    functions = [layer.function for layer in rewritten.modules() if isinstance(layer, Activation)]
    assert functions == [Function.LEAKY_RELU, Function.CLAMP, Function.LEAKY_RELU, Function.CLAMP]
    assert not any(node.op == "call_function" for node in rewritten.graph.nodes)


def test_a_constant_that_is_computed_with_rounding_is_refused() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor([[[0.3]], [[0.7]]]))

        def forward(self, images: Tensor) -> Tensor:
            return images * self.scale.exp() + self.scale.flip(0)

    found = unsupported_operations(captured(Scaled(), SHAPE), torch.rand(1, *SHAPE))
    assert [item.operation for item in found] == ["mul.Tensor"]
    assert "computed with rounding" in found[0].reason


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
    assert unsupported_operations(network, torch.rand(1, 2, 5, 5)) == ()
    with pytest.raises(UnsupportedOperationError, match=r"first.*sigmoid.*second.*gelu") as caught:
        rewrite(network, torch.rand(1, 2, 5, 5))
    assert any("second" in layer for layer in caught.value.layers)
    assert unsupported_operations(captured(nn.Conv2d(2, 2, 1), (2, 5, 5)), torch.rand(1, 2, 5, 5)) == ()


def test_windows_hold_only_inputs_of_their_own() -> None:
    # Positions -1, 1, 3 of a window dilated by 2: the padding is replaced by 1, not by the edge, 0.
    assert window_indices(4, 1, 3, 1, 1, 2).flatten().tolist() == [1, 1, 3]
    assert window_indices(5, 3, 3, 2, 1, 1).T.tolist() == [[0, 0, 1], [1, 2, 3], [3, 4, 3]]
