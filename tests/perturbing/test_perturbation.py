"""What holds for every perturbation: identity, shapes, dtypes, gradients, refusals."""

from __future__ import annotations

import pytest
import torch
from perturbing_cases import AFFINE, EVERY, images, thetas, unclipped

from usncli.perturbing import AffinePerturbation, Boxes, Brightness, Perturbation


@pytest.mark.parametrize("perturbation", EVERY, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_identity_returns_the_very_same_numbers(perturbation: Perturbation, channels: int, dtype: torch.dtype) -> None:
    x = images(channels=channels, dtype=dtype)
    x[:, :, 0, :3] = torch.tensor([0.0, 1.0, 1 / 255])
    theta = torch.tensor([perturbation.identity] * 2)
    assert torch.equal(perturbation(x, theta), x)
    assert torch.equal(perturbation.expand(x, theta[:1]), x)


@pytest.mark.parametrize("perturbation", EVERY, ids=str)
def test_expand_is_every_image_by_every_theta_samples_side_by_side(perturbation: Perturbation) -> None:
    x = images(batch=2)
    theta = thetas(perturbation, (0.1, 0.3), (-0.2, -0.4), (0.0, 0.1))
    own = torch.stack([theta, theta.flip(0)])
    expanded, by_own = perturbation.expand(x, theta), perturbation.expand(x, own)
    assert expanded.shape == by_own.shape == (6, 3, 5, 4)
    for row, (image, sample) in enumerate((i, s) for i in range(2) for s in range(3)):
        one = x[image : image + 1]
        torch.testing.assert_close(expanded[row], perturbation(one, theta[sample : sample + 1])[0])
        torch.testing.assert_close(by_own[row], perturbation(one, own[image, sample : sample + 1])[0])


@pytest.mark.parametrize("perturbation", EVERY, ids=str)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_result_keeps_the_dtype_of_the_images(perturbation: Perturbation, dtype: torch.dtype) -> None:
    x = images(dtype=torch.float64).to(dtype)
    for theta_dtype in (torch.float32, torch.float64):
        theta = torch.tensor([perturbation.identity] * 2, dtype=theta_dtype)
        assert perturbation(x, theta).dtype == dtype
        assert perturbation.expand(x, theta).dtype == dtype


@pytest.mark.parametrize("perturbation", EVERY, ids=str)
def test_gradients_in_image_and_theta(perturbation: Perturbation) -> None:
    x = (images(dtype=torch.float64)[:, :, :2, :2] * 0.8 + 0.1).requires_grad_()
    theta = thetas(perturbation, (0.013, 0.02), (-0.011, 0.0)).requires_grad_()
    # A mean pivot is rounded to float32, so a step must not be too short.
    assert torch.autograd.gradcheck(perturbation, (x, theta), eps=1e-3, atol=1e-5)
    assert torch.autograd.gradcheck(perturbation.expand, (x, theta), eps=1e-3, atol=1e-5)


@pytest.mark.parametrize("perturbation", EVERY, ids=str)
def test_perturbing_leaves_its_arguments_alone(perturbation: Perturbation) -> None:
    x, theta = images(), thetas(perturbation, (0.3, 0.3), (0.2, 0.2))
    before = x.clone(), theta.clone()
    perturbation(x, theta)
    perturbation.expand(x, theta)
    perturbation.enclosure(x, Boxes(theta, theta))
    assert torch.equal(x, before[0])
    assert torch.equal(theta, before[1])


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


@pytest.mark.parametrize("perturbation", [*EVERY, *(unclipped(perturbation) for perturbation in AFFINE)], ids=str)
def test_execution_in_float32_stays_within_its_units(perturbation: Perturbation) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(4, 3, 16, 16, generator=generator)
    for width in (0.05, 0.3):
        identity, limits = torch.tensor(perturbation.identity), torch.tensor(perturbation.limits)
        lower, upper = ((identity + sign * width).clamp(*limits.T).double() for sign in (-1, 1))
        theta = lower + torch.rand(200, len(lower), generator=generator, dtype=torch.float64) * (upper - lower)
        exact = perturbation.expand(x.double(), theta)
        executions = [perturbation.expand(x, theta.float())]
        if isinstance(perturbation, AffinePerturbation):
            form, amounts = perturbation.affine(x.unsqueeze(1)), theta.float()[..., None, None, None].unbind(-4)
            value = sum((a * d for a, d in zip(amounts, form.directions, strict=True)), form.offset)
            executions.append((value.clamp(0, 1) if perturbation.clip else value).flatten(0, 1))
        units = perturbation.units(lower.tolist(), upper.tolist())
        worst = max(float((executed.double() - exact).abs().max()) for executed in executions) * 2.0**24
        # The account is honest, and not far from what happens.
        assert worst <= units <= 20 * worst


@pytest.mark.parametrize(
    ("theta", "message"),
    [
        (torch.zeros(4), r"shape \(samples, 1\)"),
        (torch.zeros(4, 2), r"shape \(samples, 1\)"),
        (torch.zeros(3, 4, 1), r"shape \(2, samples, 1\)"),
    ],
)
def test_expand_refuses_theta_of_another_shape(theta: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Brightness().expand(images(), theta)


def test_enclosure_refuses_boxes_of_another_shape() -> None:
    boxes = Boxes(torch.zeros(3, 2), torch.ones(3, 2))
    with pytest.raises(ValueError, match=r"shape \(3, 1\) for brightness"):
        Brightness().enclosure(images(batch=1), boxes)
    with pytest.raises(ValueError, match="1 image, or one for each of the 3 pieces, got 2"):
        Brightness().enclosure(images(batch=2), Boxes(torch.zeros(3, 1), torch.ones(3, 1)))
