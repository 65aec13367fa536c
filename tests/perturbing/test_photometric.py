"""Brightness and contrast: values, the pivot, and agreement with torchvision."""

import pytest
import torch
from perturbing_cases import AFFINE, images, unclipped
from torchvision.transforms.v2 import functional as torchvision

from usncli.perturbing import AffinePerturbation, Brightness, BrightnessContrast, Contrast, Perturbation, Pivot
from usncli.perturbing.photometric import pivot_value


def rows(perturbation: Perturbation, *thetas: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(thetas, dtype=torch.float64).view(-1, perturbation.dimension)


def test_values_by_hand() -> None:
    x = torch.tensor([0.1, 0.5, 0.9, 1.0], dtype=torch.float64).view(1, 1, 2, 2)
    cases = [
        (Brightness(), (0.2,), [0.3, 0.7, 1.0, 1.0]),
        (Brightness(clip=False), (0.2,), [0.3, 0.7, 1.1, 1.2]),
        (Brightness(), (-0.3,), [0.0, 0.2, 0.6, 0.7]),
        (Contrast(), (0.5,), [0.05, 0.25, 0.45, 0.5]),
        (Contrast(clip=False), (1.2,), [0.12, 0.6, 1.08, 1.2]),
        (Contrast(pivot=Pivot.MEAN, clip=False), (2.0,), [-0.425, 0.375, 1.175, 1.375]),
        (BrightnessContrast(clip=False), (0.1, 0.5), [0.15, 0.35, 0.55, 0.6]),
        (BrightnessContrast(pivot=Pivot.MEAN), (-0.1, 2.0), [0.0, 0.275, 1.0, 1.0]),
    ]
    for perturbation, theta, expected in cases:
        result = perturbation(x, rows(perturbation, theta))
        torch.testing.assert_close(result.flatten(), torch.tensor(expected, dtype=torch.float64), msg=str(perturbation))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.7])
def test_contrast_about_the_mean_is_torchvisions(channels: int, factor: float) -> None:
    x = images(channels=channels)
    ours = Contrast(pivot=Pivot.MEAN)(x, torch.full((2, 1), factor))
    torch.testing.assert_close(ours, torchvision.adjust_contrast(x, factor), atol=2e-7, rtol=0)


@pytest.mark.parametrize("factor", [0.3, 1.6])
def test_contrast_about_zero_is_torchvisions_brightness(factor: float) -> None:
    x = images()
    torch.testing.assert_close(Contrast()(x, torch.full((2, 1), factor)), torchvision.adjust_brightness(x, factor))


@pytest.mark.parametrize("perturbation", AFFINE, ids=str)
def test_clipping_keeps_images_in_range_and_can_be_left_out(perturbation: Perturbation) -> None:
    x = images()
    theta = torch.tensor([[0.9, 3.0][-perturbation.dimension :]] * 2)
    clipped = perturbation(x, theta)
    free = unclipped(perturbation)(x, theta)
    assert clipped.min() >= 0
    assert clipped.max() <= 1 < free.max()
    assert torch.equal(clipped, free.clamp(0, 1))


@pytest.mark.parametrize("perturbation", AFFINE, ids=str)
def test_affine_form_is_the_unclipped_perturbation(perturbation: AffinePerturbation) -> None:
    x = images(dtype=torch.float64)
    free = unclipped(perturbation)
    theta = torch.tensor([[0.1, 1.3], [-0.2, 0.6]], dtype=torch.float64)[:, : perturbation.dimension]
    form = free.affine(x)
    assert form.offset.shape == x.shape
    assert len(form.directions) == perturbation.dimension
    columns = theta.view(2, -1, 1, 1, 1).unbind(dim=1)
    by_sum = form.offset + sum(column * part for column, part in zip(columns, form.directions, strict=True))
    torch.testing.assert_close(by_sum, free(x, theta), rtol=0, atol=1e-14)


def test_pixels_that_are_clipped_away_have_no_gradient() -> None:
    x = torch.tensor([0.2, 0.95], dtype=torch.float64).view(1, 1, 1, 2).requires_grad_()
    theta = torch.tensor([[0.1]], dtype=torch.float64, requires_grad=True)
    Brightness()(x, theta).sum().backward()
    assert theta.grad is not None
    assert theta.grad.item() == 1.0
    assert x.grad is not None
    assert x.grad.flatten().tolist() == [1.0, 0.0]


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_mean_pivot_is_one_number_whoever_asks(channels: int) -> None:
    x = torch.rand(5, channels, 37, 41, generator=torch.Generator().manual_seed(3))
    together = pivot_value(x, Pivot.MEAN)
    shuffled = x.flatten(2)[:, :, torch.randperm(37 * 41)].view_as(x)
    for other in (x.double(), shuffled, x.to(memory_format=torch.channels_last), x.clone().requires_grad_()):
        assert torch.equal(pivot_value(other, Pivot.MEAN).double(), together.double())
    assert torch.equal(torch.cat([pivot_value(one, Pivot.MEAN) for one in x.split(1)]), together)
    weights = torch.tensor([0.2989, 0.587, 0.114]) if channels == 3 else torch.full((channels,), 1 / channels)
    exact = (x.double().mean(dim=(2, 3)) * weights).sum(dim=1)
    torch.testing.assert_close(together.flatten().double(), exact, atol=1e-7, rtol=0)
