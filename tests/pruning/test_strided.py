"""Strided 1x1 convolutions compute what they are, by another way that spares oneDNN's weight gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from usncli.pruning.strided import pixels_chosen_first


def gradients(layer: nn.Conv2d, images: Tensor) -> list[Tensor]:
    """Return the output and all gradients, of a loss that looks at every value; as with channels last in memory."""
    images = images.contiguous(memory_format=torch.channels_last).requires_grad_()
    output = layer(images)
    (output * torch.arange(output.numel(), dtype=output.dtype).reshape(output.shape).sin()).sum().backward()
    found = [output.detach(), images.grad, *[parameter.grad for parameter in layer.parameters()]]
    layer.zero_grad()
    return found


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("channels", "outputs", "stride", "groups"), [(5, 12, 2, 1), (6, 9, (1, 3), 3), (11, 8, 3, 1)])
def test_output_and_gradients_are_those_of_the_layer(
    channels: int, outputs: int, stride: int | tuple[int, int], groups: int, bias: bool
) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(channels, outputs, 1, stride, groups=groups, bias=bias)
    images = torch.randn(7, channels, 9, 10)
    exact = gradients(layer.double(), images.double())
    with pixels_chosen_first(layer):
        found = gradients(layer.float(), images)
    for ours, expected in zip(found, exact, strict=True):
        torch.testing.assert_close(ours.double(), expected, rtol=1e-4, atol=1e-4)


def test_only_such_layers_and_only_for_gradients() -> None:
    layers = nn.ModuleList([nn.Conv2d(4, 4, 3, 2), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1, 2, 1), nn.Conv2d(4, 4, 1, 2)])
    with pixels_chosen_first(layers):
        assert ["forward" in vars(layer) for layer in layers] == [False, False, False, True]
        images = torch.randn(2, 4, 6, 6)
        with torch.no_grad():
            assert torch.equal(layers[3](images), nn.Conv2d.forward(layers[3], images))
        around = vars(layers[3])["forward"]
        with pixels_chosen_first(layers):
            assert vars(layers[3])["forward"] is not around
        assert vars(layers[3])["forward"] is around
    assert not any("forward" in vars(layer) for layer in layers)


@pytest.mark.parametrize("training", [True, False])
def test_no_stride_is_left_where_a_gradient_is_asked_for(training: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In evaluation mode too: a criterion may ask for the gradients of weights there."""
    layer, strides = nn.Conv2d(4, 4, 1, 2).train(training), []
    original = functional.conv2d

    def spied(
        images: Tensor, weight: Tensor, bias: Tensor, stride: object = 1, *rest: object, **named: object
    ) -> Tensor:
        strides.append(stride)
        return original(images, weight, bias, stride, *rest, **named)

    monkeypatch.setattr(functional, "conv2d", spied)
    with pixels_chosen_first(layer):
        layer(torch.randn(2, 4, 6, 6))
        with torch.no_grad():
            layer(torch.randn(2, 4, 6, 6))
    assert strides == [1, (2, 2)]
