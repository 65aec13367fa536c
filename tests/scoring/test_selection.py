from __future__ import annotations

import math

import pytest
import torch

from usncli.errors import ConfigurationError
from usncli.scoring.groups import DependencyGroup
from usncli.scoring.selection import Overlap, cut_channels, cutting_order, least_important, overlap


def groups(*sizes: int) -> tuple[DependencyGroup, ...]:
    return tuple(DependencyGroup(f"group{number}", size, (), ()) for number, size in enumerate(sizes))


IMPORTANCE = (torch.tensor([0.1, 0.2, 0.3, 0.4]), torch.tensor([0.9, 0.35, 0.8]))


def chosen(ratio: float, floor: float = 0.0) -> list[list[int]]:
    return [mask.nonzero().flatten().tolist() for mask in least_important(groups(4, 3), IMPORTANCE, ratio, floor)]


def test_the_least_important_channels_of_all_groups_go_first() -> None:
    assert chosen(0) == [[], []]
    assert chosen(0.3) == [[0, 1], []]
    assert chosen(4 / 7) == [[0, 1, 2], [1]]


def test_one_channel_of_every_group_stays_and_a_floor_keeps_more() -> None:
    assert chosen(0.99) == [[0, 1, 2], [1, 2]]
    assert chosen(0.99, floor=0.5) == [[0, 1], [1]]
    assert chosen(0.99, floor=1.0) == [[], []]


def test_the_order_leaves_out_what_the_floor_keeps() -> None:
    assert cutting_order(groups(4, 3), IMPORTANCE, 0.5).tolist() == [0, 1, 5]
    assert cutting_order(groups(4, 3), IMPORTANCE, 0.0).tolist() == [0, 1, 2, 5, 6]
    assert [mask.tolist() for mask in cut_channels(groups(2, 3), torch.tensor([4, 0]))] == [
        [True, False],
        [False, False, True],
    ]
    assert least_important((), (), 0.5) == cut_channels((), cutting_order((), ())) == ()


def test_equal_channels_go_in_network_order() -> None:
    same = (torch.ones(4), torch.ones(3))
    masks = least_important(groups(4, 3), same, 3 / 7)
    assert [mask.tolist() for mask in masks] == [[True, True, True, False], [False, False, False]]


@pytest.mark.parametrize("ratio", [1, 1.2, -0.1, math.nan])
def test_ratios_out_of_range_are_refused(ratio: float) -> None:
    with pytest.raises(ConfigurationError, match="ratio: expected a share of at least 0 and below 1"):
        least_important(groups(4, 3), IMPORTANCE, ratio)


def test_other_bad_arguments_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="floor"):
        least_important(groups(4, 3), IMPORTANCE, 0.2, floor=1.5)
    with pytest.raises(ValueError, match="one number for each"):
        least_important(groups(4, 4), IMPORTANCE, 0.2)
    with pytest.raises(ValueError, match="finite"):
        least_important(groups(1), [torch.tensor([math.nan])], 0.2)


def test_overlap_of_two_choices() -> None:
    first = (torch.tensor([True, True, False]), torch.tensor([True]))
    second = (torch.tensor([True, False, True]), torch.tensor([True]))
    assert overlap(first, second) == Overlap(jaccard=0.5, share=2 / 3)
    nothing = (torch.zeros(3, dtype=torch.bool), torch.zeros(1, dtype=torch.bool))
    assert overlap(nothing, nothing) == Overlap(1.0, 1.0)
    assert overlap(first, nothing) == Overlap(0.0, 1.0)
