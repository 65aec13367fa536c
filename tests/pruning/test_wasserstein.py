import pytest
import torch

from usncli.pruning.wasserstein import two_point_target, wasserstein_distance


def test_distance_pairs_sorted_values():
    values = torch.tensor([0.9, 0.1, 0.4])
    # sorted 0.1, 0.4, 0.9 against 0, 1, 1
    assert wasserstein_distance(values, two_point_target(3, 1 / 3, values)).item() == pytest.approx(0.8 / 3)


def test_distance_equals_the_integral_between_the_distribution_functions():
    generator = torch.Generator().manual_seed(0)
    values, target = torch.rand(50, generator=generator), torch.rand(50, generator=generator)
    grid = torch.linspace(0, 1, 100_001)
    difference = (values[None] <= grid[:, None]).float().mean(1) - (target[None] <= grid[:, None]).float().mean(1)
    assert wasserstein_distance(values, target).item() == pytest.approx(difference.abs().mean().item(), abs=1e-4)


def test_gradient_pushes_the_least_important_down_and_the_rest_up():
    values = torch.tensor([0.7, 0.2, 0.5, 0.6], requires_grad=True)
    wasserstein_distance(values, two_point_target(4, 0.25, values)).backward()
    assert torch.equal(values.grad.sign(), torch.tensor([-1.0, 1.0, -1.0, -1.0]))


def test_the_target_is_met_by_itself():
    target = two_point_target(10, 0.2, torch.zeros(()))
    assert target.tolist() == [0.0, 0.0] + [1.0] * 8
    assert wasserstein_distance(target.flip(0), target).item() == 0.0
