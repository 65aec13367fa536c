import pytest

from usncli.pruning.options import LossOptions, MaskOptions, Schedule
from usncli.pruning.schedule import evaluation_steps, loss_weights, mask_shares, mask_steps, ramp, rho


def test_rho_is_zero_before_the_ramp_and_the_whole_ratio_after_it():
    assert [rho(step, 100, 0.3, 0.1, 0.6) for step in (0, 10)] == [0.0, 0.0]
    assert [rho(step, 100, 0.3, 0.1, 0.6) for step in (60, 100)] == [0.3, 0.3]


def test_rho_is_cubic_in_between():
    # half-way along the ramp: 1 - (1/2)^3 = 7/8 of the ratio
    assert rho(50, 100, 0.4) == pytest.approx(0.35)
    values = [rho(step, 100, 0.4) for step in range(101)]
    assert values == sorted(values)


def test_masks_follow_up_to_the_end_of_the_ramp():
    assert mask_steps(100, 0.1, 0.6, 20) == (20, 40, 60)
    assert mask_steps(100, 0.0, 0.5, 1000) == (50,)
    assert all(rho(step, 100, 0.3, 0.1, 0.6) > 0 for step in mask_steps(100, 0.1, 0.6, 7))


def test_a_run_of_one_step_still_masks():
    assert mask_steps(1, 0.1, 0.6, 20) == (1,)


def test_other_shapes_by_hand():
    assert [rho(step, 100, 0.4, 0.2, 0.6, Schedule.LINEAR) for step in (20, 30, 40, 60, 100)] == pytest.approx(
        [0.0, 0.1, 0.2, 0.4, 0.4]
    )
    assert [rho(step, 100, 0.4, 0.2, 0.6, Schedule.ONE_SHOT) for step in (0, 19, 20, 100)] == [0.0, 0.0, 0.4, 0.4]
    assert mask_steps(100, 0.2, 0.6, 10, Schedule.ONE_SHOT) == (20,)
    assert mask_steps(100, 0.1, 0.6, 20, Schedule.LINEAR) == (20, 40, 60)


@pytest.mark.parametrize("schedule", list(Schedule))
@pytest.mark.parametrize("steps", [1, 3, 21, 100])
def test_shares_grow_to_the_whole_ratio_also_where_the_ramp_ends_between_two_steps(schedule, steps):
    for ends in ((0.0, 0.1), (0.05, 0.5), (0.13, 0.77), (0.5, 1.0)):
        shares = mask_shares(steps, 0.3, MaskOptions(ramp=ends, rescore=4, schedule=schedule))
        assert tuple(shares) == mask_steps(steps, *ends, 4, schedule)
        assert list(shares.values()) == sorted(shares.values())
        assert shares[max(shares)] == 0.3


def test_a_ramp_grows_evenly_and_one_without_length_is_a_step():
    assert [ramp(step, 10, 0.2, 0.6) for step in (0, 2, 3, 4, 6, 10)] == pytest.approx([0, 0, 0.25, 0.5, 1, 1])
    assert [ramp(step, 10, 0.5, 0.5) for step in (4, 5, 10)] == [0.0, 1.0, 1.0]
    assert ramp(0, 10, 0.0, 0.0) == 1.0


def test_weights_without_a_ramp_are_whole_and_others_grow():
    options = LossOptions(0.3, 0.7, 10.0, 0.0, ramps={"smooth": (0.0, 0.5), "wasserstein": (0.5, 1.0)})
    weights = {"unbiased": 0.3, "smooth": 0.7, "wasserstein": 10.0, "consistency": 5.0, "perturbed": 0.0}
    assert loss_weights(LossOptions(0.3, 0.7, 10.0, 5.0), 0, 10) == weights
    rest = {"unbiased": 0.3, "consistency": 0.0, "perturbed": 0.0}
    assert loss_weights(options, 0, 10) == {"smooth": 0.0, "wasserstein": 0.0} | rest
    assert loss_weights(options, 3, 10) == pytest.approx({"smooth": 0.42, "wasserstein": 0.0} | rest)
    assert loss_weights(options, 8, 10) == pytest.approx({"smooth": 0.7, "wasserstein": 6.0} | rest)


def test_networks_are_evaluated_once_their_masks_are_final_and_at_the_end():
    assert evaluation_steps(100, 50, 0.2) == (60, 80, 100)
    assert evaluation_steps(100, 45, 0.2) == (60, 80, 100)
    assert evaluation_steps(100, 100, 0.2) == (100,)
    assert evaluation_steps(3, 1, 0.05) == (2, 3)
    assert evaluation_steps(10, 0, 1.0) == (10,)
