import pytest

from usncli.pruning.schedule import mask_steps, rho


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
