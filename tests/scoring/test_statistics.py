from __future__ import annotations

import math

import pytest
import torch

from usncli.scoring.activations import record_activations, split_clean, with_clean
from usncli.scoring.statistics import InstabilityTerms, importance, instability, instability_terms


def terms_of(
    clean: torch.Tensor, perturbed: torch.Tensor, weights: torch.Tensor, variance_factor: float = 1.0
) -> InstabilityTerms:
    """On ``(images, channels, ...)`` and ``(images, samples, channels, ...)``."""
    return instability_terms(torch.cat([clean.unsqueeze(1), perturbed], dim=1), weights, variance_factor)


def test_terms_of_a_hand_computed_channel() -> None:
    z_clean = torch.tensor([[[1.0, 3.0]], [[5.0, 7.0]]])  # two images, one channel, two positions; variance 5
    shifts = torch.tensor([[[1.0, -1.0], [3.0, -3.0]], [[-2.0, 0.0], [2.0, 0.0]]])  # image, theta, position
    z_perturbed = z_clean.unsqueeze(1) + shifts.unsqueeze(2)
    terms = terms_of(z_clean, z_perturbed, torch.tensor([0.5, 0.5]))
    # |E D| = 2, 2, 0, 0 and Var D = 1, 1, 4, 0
    assert terms.signal.item() == pytest.approx(math.sqrt(5))
    assert terms.unbiased.item() == pytest.approx(1 / math.sqrt(5))
    assert terms.smooth.item() == pytest.approx(1.5 / 5)
    assert instability(terms, 2, 3).item() == pytest.approx(2 / 5 + 3 * 0.3)
    twice = terms_of(z_clean, z_perturbed, torch.tensor([0.5, 0.5]), variance_factor=2)
    assert twice.smooth.item() == pytest.approx(3 / 5)


def test_unequal_weights() -> None:
    z_clean = torch.tensor([[0.0], [2.0]], dtype=torch.float64)
    shifts = torch.tensor([0.0, 4.0], dtype=torch.float64)
    terms = terms_of(z_clean, z_clean.unsqueeze(1) + shifts.view(1, 2, 1), torch.tensor([0.75, 0.25]))
    assert terms.unbiased.item() == pytest.approx(1)
    assert terms.smooth.item() == pytest.approx(3)


def test_a_dead_channel_is_infinitely_unstable_and_has_a_finite_gradient() -> None:
    z_clean = torch.randn(4, 2, 3)
    z_clean[:, 0] = 0.3
    z_clean.requires_grad_()
    terms = terms_of(z_clean, z_clean.unsqueeze(1) + 0.1 * torch.randn(4, 5, 2, 3), torch.full((5,), 0.2))
    values = instability(terms)
    assert terms.signal[0] == terms.unbiased[0] == terms.smooth[0] == 0
    assert values[0] == math.inf
    assert values[1].isfinite()
    scores = importance(values)
    assert scores[0] == 0
    scores.sum().backward()
    assert z_clean.grad is not None
    assert z_clean.grad.isfinite().all()


def test_gradient_of_importance_is_that_of_its_formula() -> None:
    torch.manual_seed(0)
    z_clean = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    z_perturbed = torch.randn(3, 5, 4, 2, dtype=torch.float64, requires_grad=True)
    weights = torch.full((5,), 0.2, dtype=torch.float64)

    def scores(clean: torch.Tensor, perturbed: torch.Tensor) -> torch.Tensor:
        return importance(instability(terms_of(clean, perturbed, weights, 1.25)))

    assert torch.autograd.gradcheck(scores, (z_clean, z_perturbed))


def test_importance_is_one_half_at_the_median_of_living_channels() -> None:
    scores = importance(torch.tensor([0.0, 1.0, 3.0, math.inf]))
    torch.testing.assert_close(scores, torch.tensor([1.0, 0.5, 0.25, 0.0]))
    torch.testing.assert_close(importance(torch.tensor([0.0, 0.0, 1.0])), torch.tensor([1.0, 1.0, 0.5]))
    torch.testing.assert_close(importance(torch.tensor([2.0]), torch.tensor(6.0)), torch.tensor([0.75]))
    assert importance(torch.tensor([math.inf])).item() == 0


def test_terms_do_not_depend_on_the_scale_of_a_layer() -> None:
    z_clean, noise = torch.randn(4, 3, 5), torch.randn(4, 6, 3, 5)
    scale = torch.tensor([1e-3, 1.0, 1e4]).view(3, 1)
    weights = torch.full((6,), 1 / 6)
    plain = terms_of(z_clean, z_clean.unsqueeze(1) + noise, weights)
    scaled = terms_of(scale * z_clean, scale * (z_clean.unsqueeze(1) + noise), weights)
    torch.testing.assert_close(scaled.unbiased, plain.unbiased)
    torch.testing.assert_close(scaled.smooth, plain.smooth)


def test_clean_and_perturbed_images_travel_together_and_come_apart_again() -> None:
    images, perturbed = torch.rand(2, 3, 4, 4), torch.rand(2 * 5, 3, 4, 4)
    clean, samples = split_clean(with_clean(images, perturbed), 2)
    assert torch.equal(clean, images)
    assert torch.equal(samples.flatten(0, 1), perturbed)


def test_recorded_activations_carry_gradients_and_survive_in_place_operations() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.ReLU(inplace=True), torch.nn.Conv2d(4, 1, 1))
    images = torch.rand(2, 3, 4, 4)
    with record_activations(network, ["0"]) as recorded:
        network(images)
    assert torch.equal(recorded["0"], network[0](images))
    recorded["0"].square().mean().backward()
    assert network[0].weight.grad.abs().sum() > 0


def test_hooks_are_taken_off_even_after_an_exception() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1))
    with pytest.raises(RuntimeError), record_activations(network, ["0"]):
        network(torch.rand(1, 5, 4, 4))
    assert not network[0]._forward_hooks
