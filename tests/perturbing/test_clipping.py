"""Lines of clip(z, 0, 1): sound for any z, the best parallel ones, and errors shared by pixels that move alike."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from usncli.perturbing.clipping import SHARED_ERRORS, clipped
from usncli.perturbing.lines import Lines

NUMBER = st.floats(-3, 3)


def one(number: float) -> Tensor:
    return torch.tensor([number], dtype=torch.float64)


def distance(lines: Lines) -> Tensor:
    return lines.upper - lines.lower + 2 * lines.lower_slope[:, 1:].abs().sum(dim=1)


@settings(deadline=None, derandomize=True, database=None, max_examples=300)
@given(NUMBER, NUMBER, st.sampled_from([0.0, 1e-9, 0.3]))
def test_lines_hold_whatever_is_clipped(slope: float, middle: float, error: float) -> None:
    lines = clipped(one(slope).view(1, 1, 1), one(middle).view(1, 1), one(error).view(1, 1))
    t = torch.linspace(-1, 1, 401, dtype=torch.float64)
    own = lines.lower_slope[0, 0, 0] * t
    spare = lines.lower_slope[0, 1:, 0].abs().sum()
    for shift in (-error, 0.0, error):
        exact = (slope * t + middle + shift).clamp(0, 1)
        assert bool((own + lines.lower[0, 0] - spare <= exact).all())
        assert bool((own + lines.upper[0, 0] + spare >= exact).all())


@settings(deadline=None, derandomize=True, database=None, max_examples=100)
@given(NUMBER, NUMBER)
def test_no_parallel_lines_are_closer(slope: float, middle: float) -> None:
    lines = clipped(one(slope).view(1, 1, 1), one(middle).view(1, 1), torch.zeros(1, 1, dtype=torch.float64))
    z = slope * torch.linspace(-1, 1, 2001, dtype=torch.float64) + middle
    factors = torch.linspace(0, 1, 501, dtype=torch.float64).unsqueeze(1)
    rest = z.clamp(0, 1) - factors * z
    best = float((rest.amax(dim=1) - rest.amin(dim=1)).min())
    # The best on a grid of slopes and points is within the grid's own coarseness of the best.
    assert float(distance(lines)) <= best + 2e-3 * (1 + abs(slope)) + 1e-12


def test_what_does_not_cross_stays_a_line() -> None:
    slope = torch.tensor([[[0.1, -0.2, 0.3]]], dtype=torch.float64)
    middle = torch.tensor([[0.5, -1.0, 2.0]], dtype=torch.float64)
    lines = clipped(slope, middle, torch.zeros_like(middle))
    assert lines.lower_slope[0].tolist() == [[0.1, 0.0, 0.0]]
    torch.testing.assert_close(lines.lower, torch.tensor([[0.5, 0.0, 1.0]], dtype=torch.float64), atol=1e-13, rtol=0)
    assert float(distance(lines).max()) < 1e-13


def test_lines_by_hand() -> None:
    """z from -0.2 to 0.6: slope 0.75, 0.15 apart; from -1 to 2: slope 1/2, 1/2 apart; from 0.5 to 1.5: 1/2, 1/4."""
    slope = torch.tensor([[[0.4, 1.5, 0.5]]], dtype=torch.float64)
    middle = torch.tensor([[0.2, 0.5, 1.0]], dtype=torch.float64)
    lines = clipped(slope, middle, torch.zeros_like(middle))
    expected = torch.tensor([[0.4 * 0.75, 1.5 * 0.5, 0.5 * 0.5]], dtype=torch.float64)
    torch.testing.assert_close(lines.lower_slope[0, :1], expected, atol=1e-15, rtol=0)
    apart = torch.tensor([[0.15, 0.5, 0.25]], dtype=torch.float64)
    torch.testing.assert_close(distance(lines), apart, atol=1e-13, rtol=0)


def test_pixels_that_move_alike_share_one_error() -> None:
    slope = torch.full((2, 1, 7), 0.3, dtype=torch.float64)
    middle = torch.tensor([[0.1, 0.1, 0.5, 0.95, 0.1, 0.95, 1.0], [0.5] * 7], dtype=torch.float64)
    lines = clipped(slope, middle, torch.zeros_like(middle))
    errors = lines.lower_slope[:, 1:]
    assert (errors[0] > 0).tolist() == [
        [True, True, False, False, True, False, False],
        [False, False, False, True, False, True, False],
        [False] * 6 + [True],
    ]
    assert not bool(errors[1].any())
    assert float((lines.upper - lines.lower).max()) < 1e-13


def test_pixels_of_one_value_that_move_unlike_share_nothing() -> None:
    slope = torch.tensor([[[0.3, 0.4, 0.3]]], dtype=torch.float64)
    lines = clipped(slope, torch.full((1, 3), 0.1, dtype=torch.float64), torch.zeros(1, 3, dtype=torch.float64))
    assert (lines.lower_slope[0, 1:] > 0).tolist() == [[True, False, True], [False, True, False]]


def test_a_piece_with_many_crossing_values_keeps_an_error_a_pixel() -> None:
    middle = torch.stack([torch.linspace(-0.05, 0.05, 20), torch.full((20,), 0.02)]).double()
    lines = clipped(torch.full((2, 1, 20), 0.1, dtype=torch.float64), middle, torch.zeros_like(middle))
    assert lines.lower_slope.shape[1] <= 1 + SHARED_ERRORS
    assert not bool(lines.lower_slope[0, 1:].any())
    assert float((lines.upper - lines.lower)[0].max()) > 1e-2
    assert float((lines.upper - lines.lower)[1].max()) < 1e-13
