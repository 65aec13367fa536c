"""Brightness and contrast: values, gradients, and agreement with torchvision."""

import pytest
import torch
from torchvision.transforms.v2 import functional as torchvision

from usncli.perturbing import AffinePerturbation, Brightness, BrightnessContrast, Contrast, Perturbation, Pivot

ALL: list[AffinePerturbation] = [
    Brightness(),
    Contrast(),
    Contrast(pivot=Pivot.MEAN),
    BrightnessContrast(),
    BrightnessContrast(pivot=Pivot.MEAN),
]


def images(batch: int = 2, channels: int = 3, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(batch, channels, 5, 4, generator=torch.Generator().manual_seed(0), dtype=dtype)


def rows(perturbation: Perturbation, *thetas: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(thetas, dtype=torch.float64).view(-1, perturbation.dimension)


@pytest.mark.parametrize("perturbation", ALL, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_identity_returns_the_very_same_numbers(perturbation: Perturbation, channels: int) -> None:
    x = images(channels=channels)
    theta = torch.tensor([perturbation.identity] * 2)
    assert torch.equal(perturbation(x, theta), x)
    assert torch.equal(perturbation.expand(x, theta[:1]), x)


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


@pytest.mark.parametrize("perturbation", ALL, ids=str)
def test_clipping_keeps_images_in_range_and_can_be_left_out(perturbation: Perturbation) -> None:
    x = images()
    theta = torch.tensor([[0.9, 3.0][-perturbation.dimension :]] * 2)
    clipped = perturbation(x, theta)
    free = type(perturbation)(**{**vars(perturbation), "clip": False})(x, theta)
    assert clipped.min() >= 0
    assert clipped.max() <= 1 < free.max()
    assert torch.equal(clipped, free.clamp(0, 1))


@pytest.mark.parametrize("perturbation", ALL, ids=str)
def test_affine_form_is_the_unclipped_perturbation(perturbation: AffinePerturbation) -> None:
    x = images(dtype=torch.float64)
    free = type(perturbation)(**{**vars(perturbation), "clip": False})
    theta = torch.tensor([[0.1, 1.3], [-0.2, 0.6]], dtype=torch.float64)[:, : perturbation.dimension]
    form = free.affine(x)
    assert form.offset.shape == x.shape
    assert len(form.directions) == perturbation.dimension
    columns = theta.view(2, -1, 1, 1, 1).unbind(dim=1)
    by_sum = form.offset + sum(column * part for column, part in zip(columns, form.directions, strict=True))
    torch.testing.assert_close(by_sum, free(x, theta), rtol=0, atol=1e-14)


@pytest.mark.parametrize("perturbation", ALL, ids=str)
def test_expand_is_every_image_by_every_theta_samples_side_by_side(perturbation: Perturbation) -> None:
    x = images(batch=2)
    theta = torch.tensor([[0.1, 1.3], [-0.2, 0.6], [0.0, 1.1]])[:, : perturbation.dimension]
    expanded = perturbation.expand(x, theta)
    assert expanded.shape == (6, 3, 5, 4)
    for row, (image, sample) in enumerate((i, s) for i in range(2) for s in range(3)):
        torch.testing.assert_close(expanded[row], perturbation(x[image : image + 1], theta[sample : sample + 1])[0])


@pytest.mark.parametrize("perturbation", ALL, ids=str)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_result_keeps_the_dtype_of_the_images(perturbation: Perturbation, dtype: torch.dtype) -> None:
    x = images(dtype=torch.float64).to(dtype)
    for theta_dtype in (torch.float32, torch.float64):
        theta = torch.tensor([perturbation.identity] * 2, dtype=theta_dtype)
        assert perturbation(x, theta).dtype == dtype
        assert perturbation.expand(x, theta).dtype == dtype


@pytest.mark.parametrize("perturbation", ALL, ids=str)
def test_gradients_in_image_and_theta(perturbation: Perturbation) -> None:
    x = (images(dtype=torch.float64)[:, :, :2, :2] * 0.8 + 0.1).requires_grad_()
    theta = torch.tensor([[0.013, 1.02], [-0.011, 0.97]], dtype=torch.float64)[:, -perturbation.dimension :]
    if isinstance(perturbation, Brightness):
        theta = theta - 1
    theta = theta.clone().requires_grad_()
    # Both are linear in each argument, so a long step does no harm; a mean is rounded, so a short one would.
    assert torch.autograd.gradcheck(perturbation, (x, theta), eps=1e-2)
    assert torch.autograd.gradcheck(perturbation.expand, (x, theta), eps=1e-2)


def test_pixels_that_are_clipped_away_have_no_gradient() -> None:
    x = torch.tensor([0.2, 0.95], dtype=torch.float64).view(1, 1, 1, 2).requires_grad_()
    theta = torch.tensor([[0.1]], dtype=torch.float64, requires_grad=True)
    Brightness()(x, theta).sum().backward()
    assert theta.grad is not None
    assert theta.grad.item() == 1.0
    assert x.grad is not None
    assert x.grad.flatten().tolist() == [1.0, 0.0]


def test_perturbing_leaves_its_arguments_alone() -> None:
    x, theta = images(), torch.tensor([[0.3], [0.2]])
    before = x.clone()
    Brightness()(x, theta)
    Brightness().expand(x, theta)
    assert torch.equal(x, before)


@pytest.mark.parametrize(
    ("x", "theta", "message"),
    [
        (torch.zeros(2, 3, 4, 4), torch.zeros(1, 1), r"theta: .*shape \(2, 1\) for brightness"),
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, 2), r"got torch.float32 of shape \(2, 2\)"),
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, 1, dtype=torch.int64), "got torch.int64"),
        (torch.zeros(3, 4, 4), torch.zeros(3, 1), r"images: expected .*got torch.float32 of shape \(3, 4, 4\)"),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(2, 1), "got torch.uint8"),
    ],
)
def test_wrong_shapes_and_dtypes_are_refused(x: torch.Tensor, theta: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Brightness()(x, theta)


def test_expand_refuses_theta_without_a_dimension_of_parameters() -> None:
    with pytest.raises(ValueError, match=r"shape \(samples, 1\)"):
        Brightness().expand(images(), torch.zeros(4))
