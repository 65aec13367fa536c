"""Gamma: values, gradients at the ends of the grey scale, and the form of its lines."""

from __future__ import annotations

import pytest
import torch

from usncli.perturbing import Boxes, Gamma


def row(*pixels: float) -> torch.Tensor:
    return torch.tensor(pixels, dtype=torch.float64).view(1, 1, 1, -1)


def piece(lower: float, upper: float) -> Boxes:
    return Boxes(torch.tensor([[lower]], dtype=torch.float64), torch.tensor([[upper]], dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("exponent", [0.1, 0.5, 1.0, 2.2, 10.0])
def test_values_are_powers(dtype: torch.dtype, exponent: float) -> None:
    x = torch.linspace(0, 1, 256, dtype=dtype).view(1, 1, 16, 16)
    result = Gamma()(x, torch.tensor([[exponent]]))
    torch.testing.assert_close(result, x.double().pow(exponent).to(dtype), rtol=4e-6, atol=1e-12)
    assert result[0, 0, 0, 0] == 0
    assert result[0, 0, -1, -1] == 1
    assert bool((result.flatten().diff() > 0).all())


def test_black_and_white_have_no_gradient_in_gamma() -> None:
    x, theta = row(0.0, 1.0, 0.5), torch.tensor([[1.0]], dtype=torch.float64, requires_grad=True)
    values = Gamma()(x, theta).flatten()
    gradients = [torch.autograd.grad(value, theta, retain_graph=True)[0].item() for value in values]
    assert gradients == pytest.approx([0, 0, 0.5 * torch.tensor(0.5).log().item()])


def test_black_does_not_move_and_white_only_by_rounding() -> None:
    lines = Gamma().enclosure(row(0.0, 1.0), piece(0.1, 10))
    assert not bool(lines.lower_slope.any())
    assert lines.lower.flatten().tolist() == pytest.approx([0, 1], abs=1e-13)
    assert (lines.lower[..., 0].item(), lines.upper[..., 0].item()) == (0, 0)


def test_a_narrow_piece_leaves_a_pixel_an_error_of_the_third_order_only() -> None:
    x = row(*torch.linspace(0.01, 0.99, 50).tolist())
    for radius in (0.1, 0.01):
        lines = Gamma().enclosure(x, piece(1 - radius, 1 + radius))
        y = -x[0].log() * radius
        own = (lines.upper - lines.lower)[0] / 2 - 1e-13
        shared = lines.lower_slope[0, 1]
        assert bool((own <= x[0] * y**3 / 20).all())
        torch.testing.assert_close(shared, x[0] * y**2 / 4, rtol=0.02, atol=0)


def test_a_wide_piece_has_chord_and_tangent() -> None:
    """0.01^g for g from 0.5 to 2.5: from 0.1 to 1e-5; the tangent of that slope touches where the function has it."""
    lines = Gamma().enclosure(row(0.01), piece(0.5, 2.5))
    slope, shared = lines.lower_slope.flatten().tolist()
    assert (slope, shared) == (pytest.approx((1e-5 - 0.1) / 2), 0)
    assert lines.upper.item() == pytest.approx((0.1 + 1e-5) / 2)
    g = torch.linspace(0.5, 2.5, 100_001, dtype=torch.float64)
    assert lines.lower.item() == pytest.approx(float((0.01**g - slope * (g - 1.5)).min()), abs=1e-9)


@pytest.mark.parametrize("pixel", [5e-324, 1e-300, 1e-40, 1 - 2.0**-53])
def test_pixels_at_the_ends_of_what_floats_hold(pixel: float) -> None:
    boxes = Boxes(torch.tensor([[0.1], [1.0], [0.9]]).double(), torch.tensor([[10.0], [1.0], [1.1]]).double())
    lines = Gamma().enclosure(row(pixel), boxes)
    for end in (boxes.lower, boxes.upper):
        exact = torch.tensor(pixel, dtype=torch.float64) ** end.flatten()
        assert bool((lines.minimum().flatten() <= exact).all())
        assert bool((lines.maximum().flatten() >= exact).all())


@pytest.mark.parametrize("pixel", [-0.1, 1.5, float("nan")])
def test_a_pixel_outside_the_scale_proves_nothing(pixel: float) -> None:
    lines = Gamma().enclosure(row(0.5, pixel), piece(0.9, 1.1))
    assert torch.isnan(lines.lower).flatten().tolist() == [False, True]
    assert torch.isnan(lines.upper).flatten().tolist() == [False, True]
