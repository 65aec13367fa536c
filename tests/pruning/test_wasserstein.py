import pytest
import torch

from usncli.pruning.gradient_limit import EVERY, GradientLimit
from usncli.pruning.options import WassersteinTarget
from usncli.pruning.processes import Processes
from usncli.pruning.wasserstein import Separation, concentrated_counts, two_point_target, wasserstein_distance


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


def test_concentrated_zeros_are_in_the_groups_that_hold_most_of_the_least_important():
    # the least important 5 of 14: one of the first 4, three of the next 6, one of the last 4
    values = torch.tensor([0.1, 0.9, 0.9, 0.9, 0.2, 0.2, 0.2, 0.8, 0.8, 0.8, 0.3, 0.7, 0.7, 0.7])
    assert concentrated_counts(values, (4, 6, 4), 5 / 14, 0.5) == [2, 3, 0]
    assert concentrated_counts(values, (4, 6, 4), 5 / 14, 0.0) == [0, 5, 0]
    assert concentrated_counts(values, (4, 6, 4), 13 / 14, 0.0) == [3, 5, 3]  # a channel always stays
    distance = Separation((4, 6, 4), 5 / 14, WassersteinTarget.CONCENTRATED, 0.5)(values)
    # 0, 0, 1, 1 and 0, 0, 0, 1, 1, 1 and 1, 1, 1, 1 are asked for
    assert distance.item() == pytest.approx((1.0 + 0.2 + 0.6 + 0.6 + 0.7 + 0.9) / 14)


def test_a_separation_over_all_channels_is_one_distance():
    values = torch.tensor([0.9, 0.1, 0.4])
    assert Separation((1, 2), 1 / 3)(values) == wasserstein_distance(values, two_point_target(3, 1 / 3, values))


def test_a_limited_gradient_is_a_share_of_the_tasks():
    weight = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    limit = GradientLimit(0.1, Processes())
    limit.update([weight], weight.square().sum(), 5.0 * weight.sum(), 0)
    # 2 w is 10 long, 5 (1, 1) is 5 sqrt 2
    assert limit.factor == pytest.approx(0.1 * 10 / (5 * 2**0.5))
    before = limit.factor
    limit.update([weight], weight.square().sum(), 500.0 * weight.sum(), EVERY - 1)
    assert limit.factor == before
    limit.update([weight], weight.square().sum(), 0.01 * weight.sum(), EVERY)
    assert limit.factor == 1.0
    again = GradientLimit(0.1, Processes())
    again.restore({"factor": before})
    assert again.state() == {"factor": before}
