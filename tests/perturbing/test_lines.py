"""Boxes and lines: ends that rounding cannot lose, and normalisation."""

from __future__ import annotations

from fractions import Fraction

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from usncli.perturbing import Boxes, Lines
from usncli.perturbing.lines import normalised

END = st.floats(-10, 10)


@settings(deadline=None, derandomize=True, database=None, max_examples=300)
@given(END, END)
def test_centre_and_radius_reach_both_ends(first: float, second: float) -> None:
    low, high = min(first, second), max(first, second)
    boxes = Boxes(torch.tensor([[low]], dtype=torch.float64), torch.tensor([[high]], dtype=torch.float64))
    centre, radius = Fraction(boxes.centres().item()), Fraction(boxes.radii().item())
    assert Fraction(low) <= centre <= Fraction(high)
    assert centre - radius <= Fraction(low)
    assert centre + radius >= Fraction(high)
    assert radius <= (Fraction(high) - Fraction(low)) * Fraction(0.5000001)


def test_normalised_lines_hold_in_exact_arithmetic() -> None:
    generator = torch.Generator().manual_seed(0)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    for dtype in (torch.float64, torch.float32):
        slope = torch.randn(2, 2, 3, 2, 2, generator=generator).to(dtype)
        offset = torch.rand(2, 3, 2, 2, generator=generator).to(dtype)
        lines = normalised(Lines(slope, offset, slope, offset), mean.to(dtype), std.to(dtype))
        assert lines.lower_slope is lines.upper_slope
        for index in torch.cartesian_prod(*[torch.arange(size) for size in offset.shape]).tolist():
            piece, channel, row, column = index
            for signs in ((1, 1), (1, -1), (-1, -1)):
                own, new = (
                    sum(
                        sign * Fraction(part[piece, axis, channel, row, column].item())
                        for axis, sign in enumerate(signs)
                    )
                    for part in (slope, lines.lower_slope)
                )
                value = own + Fraction(offset[piece, channel, row, column].item())
                exact = (value - Fraction(mean[0, channel].item())) / Fraction(std[0, channel].item())
                assert Fraction(lines.lower[piece, channel, row, column].item()) + new <= exact
                assert exact <= Fraction(lines.upper[piece, channel, row, column].item()) + new
        gap = float((lines.upper - lines.lower).max())
        assert 0 < gap < 200 * torch.finfo(dtype).eps


def test_least_and_greatest_value() -> None:
    slope = torch.tensor([[[1.0], [-2.0]]])
    lines = Lines(slope, torch.tensor([[0.5]]), slope, torch.tensor([[0.75]]))
    assert (lines.minimum().item(), lines.maximum().item()) == (-2.5, 3.75)
