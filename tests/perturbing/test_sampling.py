from __future__ import annotations

import pytest
import torch

from usncli.errors import ConfigurationError
from usncli.perturbing import parse_range
from usncli.perturbing.sampling import ThetaSample, sample_theta, theta_count

METHODS = ("monte-carlo", "quadrature", "sobol")


def sample(text: str, method: str, samples: int, seed: int = 0) -> ThetaSample:
    return sample_theta(parse_range(text), method, samples, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("text", ["brightness=-0.05:0.2", "brightness=0.1,contrast=0.3"])
def test_points_lie_in_the_box_and_weights_sum_to_one(text: str, method: str) -> None:
    points = sample(text, method, 16)
    lower, upper = parse_range(text).corners()
    assert points.theta.shape == (16, len(lower))
    assert points.theta.dtype == points.weights.dtype == torch.float64
    assert ((points.theta > lower) & (points.theta < upper)).all()
    assert points.weights.sum().item() == pytest.approx(1, abs=1e-14)
    assert (points.weights > 0).all()


def test_quadrature_integrates_polynomials_exactly() -> None:
    theta, weights, factor = sample("brightness=-0.5:1", "quadrature", 3)
    for degree in range(6):
        exact = (1 - (-0.5) ** (degree + 1)) / (degree + 1) / 1.5
        assert (weights * theta[:, 0] ** degree).sum().item() == pytest.approx(exact, abs=1e-14)
    assert factor == 1


def test_quadrature_in_two_dimensions_is_a_square_grid() -> None:
    theta, weights, _ = sample("brightness=0.5,contrast=0.5", "quadrature", 5)
    assert theta.shape == (9, 2)
    assert theta_count(2, "quadrature", 5) == theta_count(2, "quadrature", 9) == 9
    assert theta_count(2, "quadrature", 1) == 1
    assert theta_count(2, "sobol", 5) == theta_count(1, "quadrature", 5) == 5
    brightness, contrast = theta.unbind(1)
    assert (weights * brightness**2 * (contrast - 1) ** 4).sum().item() == pytest.approx(1 / 12 / 80, abs=1e-14)


@pytest.mark.parametrize("method", METHODS)
def test_points_are_a_function_of_the_seed(method: str) -> None:
    first, second = sample("contrast=0.2", method, 8, seed=1), sample("contrast=0.2", method, 8, seed=1)
    assert torch.equal(first.theta, second.theta)
    other = sample("contrast=0.2", method, 8, seed=2)
    assert torch.equal(first.theta, other.theta) == (method == "quadrature")


def test_sobol_covers_the_box_more_evenly_than_chance() -> None:
    theta = sample("brightness=0.5", "sobol", 64).theta[:, 0]
    assert theta.mean().abs() < 0.01
    assert torch.histc(theta.float(), 16, -0.5, 0.5).unique().tolist() == [4]


def test_only_independent_draws_correct_the_variance() -> None:
    assert sample("brightness=0.5", "monte-carlo", 4).variance_factor == pytest.approx(4 / 3)
    assert sample("brightness=0.5", "monte-carlo", 1).variance_factor == 1
    assert sample("brightness=0.5", "sobol", 4).variance_factor == 1


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="samples: expected at least 1, got 0"):
        sample("brightness=0.1", "sobol", 0)
    with pytest.raises(ConfigurationError, match="did you mean 'quadrature'"):
        sample("brightness=0.1", "quadratur", 4)
