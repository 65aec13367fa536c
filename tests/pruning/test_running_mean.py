import pytest
import torch

from usncli.pruning.running_mean import RunningMean


def values(*numbers):
    return (torch.tensor(numbers, dtype=torch.float64),)


def test_without_momentum_only_the_last_counts_to_the_bit():
    mean = RunningMean(0.0)
    mean.add(values(0.1, 5.0))
    assert torch.equal(mean.add(values(0.3, 0.7))[0], values(0.3, 0.7)[0])


def test_mean_by_hand():
    mean = RunningMean(0.5)
    assert mean.add(values(4.0))[0].item() == 4.0  # not half of it: the start at 0 is corrected
    assert mean.add(values(1.0))[0].item() == pytest.approx((4 * 0.25 + 1 * 0.5) / 0.75)
    assert mean.add(values(1.0))[0].item() == pytest.approx((4 * 0.125 + 0.25 + 0.5) / 0.875)


def test_a_mean_goes_on_from_its_state():
    whole, first = RunningMean(0.9), RunningMean(0.9)
    for part in (1.0, 3.0):
        expected = whole.add(values(part, 2.0))
    first.add(values(1.0, 2.0))
    second = RunningMean(0.9)
    second.restore(first.state())
    assert torch.equal(second.add(values(3.0, 2.0))[0], expected[0])
