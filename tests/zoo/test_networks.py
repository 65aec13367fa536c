"""Output shapes, sizes and width factors of the shipped networks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from usncli import zoo
from usncli.errors import ConfigurationError, InputError

CASES = {
    "cnn7": (lambda: zoo.cnn7(), (3, 64, 64), (16,)),
    "cnn7 grey, not square": (lambda: zoo.cnn7(outputs=10, channels=1, size=(20, 33), width=0.5), (1, 20, 33), (10,)),
    "resnet18 narrow": (lambda: zoo.resnet18(outputs=18, width=0.125), (3, 64, 64), (18,)),
    "heatmaps": (lambda: zoo.heatmap_network(keypoints=9), (3, 64, 32), (9, 16, 8)),
    "heatmaps at half": (lambda: zoo.heatmap_network(keypoints=2, stride=2), (3, 32, 32), (2, 16, 16)),
    "heatmaps at an eighth": (lambda: zoo.heatmap_network(keypoints=2, stride=8), (3, 32, 32), (2, 4, 4)),
    "classifier": (lambda: zoo.classifier(classes=4), (3, 32, 32), (4,)),
    "classifier of digits": (lambda: zoo.classifier(channels=1, size=8), (1, 8, 8), (10,)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("batch", [1, 3])
def test_output_shape(case: str, batch: int) -> None:
    build, image_shape, output_shape = CASES[case]
    outputs = build().eval()(torch.zeros(batch, *image_shape))
    assert outputs.shape == (batch, *output_shape)


@pytest.mark.parametrize("case", ["cnn7 grey, not square", "resnet18 narrow", "heatmaps", "classifier of digits"])
def test_exports_with_dynamic_batch(case: str) -> None:
    build, image_shape, _ = CASES[case]
    torch.manual_seed(0)
    network = build().eval()
    dynamic = ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(network, (torch.rand(2, *image_shape),), dynamic_shapes=dynamic)
    images = torch.rand(5, *image_shape)
    torch.testing.assert_close(program.module()(images), network(images))


def test_images_of_a_batch_do_not_mix() -> None:
    network = zoo.cnn7().eval()
    images = torch.rand(3, 3, 64, 64)
    torch.testing.assert_close(network(images)[1:2], network(images[1:2]), atol=1e-5, rtol=1e-5)


def count_relus(network: nn.Module, images: Tensor) -> int:
    total = 0

    def add(_module: nn.Module, _inputs: tuple[Tensor, ...], outputs: Tensor) -> None:
        nonlocal total
        total += outputs[0].numel()

    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(add)
    network.eval()(images)
    return total


def test_cnn7_has_the_relus_it_states() -> None:
    # 16 x 64 x 64 + (16 + 32) x 32 x 32 + 32 x 16 x 16 + 32 x 8 x 8 + 128
    assert count_relus(zoo.cnn7(outputs=64), torch.zeros(1, 3, 64, 64)) == 125_056


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_resnet18_is_torchvisions() -> None:
    # torchvision publishes 11,689,512 parameters for 1,000 outputs.
    assert parameters(zoo.resnet18(outputs=1000)) == 11_689_512
    assert zoo.resnet18(outputs=4).layer3[0].downsample[0].weight.shape == (256, 128, 1, 1)


@pytest.mark.parametrize("build", [zoo.cnn7, zoo.resnet18, zoo.heatmap_network, zoo.classifier])
def test_width_scales_channels(build: type[nn.Module]) -> None:
    def widths(width: float) -> list[int]:
        return [m.num_features for m in build(width=width).modules() if isinstance(m, nn.BatchNorm2d)]

    assert widths(0.25) == [count * 2 for count in widths(0.125)]
    assert widths(0.5) == [count * 4 for count in widths(0.125)]


@pytest.mark.parametrize("build", [zoo.cnn7, zoo.resnet18, zoo.heatmap_network, zoo.classifier])
def test_he_initialisation_keeps_signal(build: type[nn.Module]) -> None:
    torch.manual_seed(0)
    network = build().train()
    convolution = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    fan_out = convolution.out_channels * convolution.kernel_size[0] ** 2
    assert convolution.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.1)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="width: expected a factor above 0, got 0"):
        zoo.cnn7(width=0)
    with pytest.raises(ConfigurationError, match="outputs: expected a whole number"):
        zoo.classifier(classes=0)
    with pytest.raises(ConfigurationError, match="stride: expected one of 2, 4, 8, got 3"):
        zoo.heatmap_network(stride=3)
    with pytest.raises(InputError, match="16 divides, got 20x32"):
        zoo.heatmap_network()(torch.zeros(1, 3, 20, 32))


def test_importing_the_zoo_is_cheap() -> None:
    import subprocess
    import sys

    code = "import sys, usncli.zoo; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'vgg'"):
        _ = zoo.vgg  # type: ignore[attr-defined]
