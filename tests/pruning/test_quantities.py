import pytest
import torch

from usncli.errors import ConfigurationError
from usncli.pruning.complexity import MaskedComplexity
from usncli.pruning.masks import no_masks
from usncli.pruning.options import Criterion, FinetuneOptions, MaskOptions, Target
from usncli.pruning.quantities import ChannelQuantity, ComplexityQuantity, even_masks
from usncli.pruning.targets import make_quantity, require_reachable, shortfall
from usncli.scoring.groups import DependencyGroup, GroupMember, dependency_groups


@pytest.fixture
def pipeline(make_pipeline):
    return make_pipeline()


@pytest.fixture
def groups(pipeline):
    return dependency_groups(pipeline.network, torch.zeros(2, 1, 8, 8))


def masks_of(groups, **channels):
    masks = no_masks(groups)
    for name, cut in channels.items():
        masks[name][cut] = True
    return masks


def test_channels_are_whole(groups):
    quantity = ChannelQuantity(groups)
    assert quantity.goal(0.2) == 3 / 14
    assert quantity.removed(masks_of(groups, first=[0], second=[1, 2])) == 3 / 14
    assert quantity.channel_share(0.2) == 0.2
    assert ChannelQuantity(()).goal(0.2) == 0.0


def test_parameters_and_multiply_adds_by_hand(pipeline, groups):
    """The tiny network: 6 * 9 + 6, 2 * 6, 8 * 6 * 9 + 8 and 2 * 72 + 2 parameters, on 64, 9 and 1 positions."""
    masks = masks_of(groups, first=[3], second=[0, 7])
    complexity = MaskedComplexity(pipeline, groups)
    parameters = ComplexityQuantity(complexity, "parameters")
    assert complexity.whole.parameters == 60 + 12 + 440 + 146
    assert parameters.removed(masks) == (658 - (50 + 10 + 6 * 5 * 9 + 6 + 2 * 54 + 2)) / 658
    multiply_adds = ComplexityQuantity(complexity, "multiply_adds")
    whole = 64 * 54 + 9 * 432 + 144
    assert multiply_adds.removed(masks) == (whole - (64 * 45 + 9 * 270 + 108)) / whole
    assert parameters.removed(no_masks(groups)) == multiply_adds.removed(no_masks(groups)) == 0.0


def test_what_a_floor_allows_and_how_many_channels_a_share_takes(pipeline, groups):
    quantity = ComplexityQuantity(MaskedComplexity(pipeline, groups), "parameters")
    left = 3 * 9 + 3 + 6 + 4 * 3 * 9 + 4 + 2 * 36 + 2
    assert quantity.reachable(0.5) == pytest.approx(1 - left / 658)
    assert quantity.reachable(1.0) == 0.0
    # one channel of each group takes 148 parameters, two of the second one 212
    assert quantity.channel_share(148 / 658) == 2 / 14
    assert quantity.channel_share(149 / 658) == quantity.channel_share(212 / 658) == 3 / 14
    assert quantity.channel_share(0.0) == 0.0


def test_even_masks_cut_what_occupies_most_places():
    wide = GroupMember("after", "in", ((0,), (1, 2, 3), (4, 5), ()))
    group = DependencyGroup("layer", 4, (), (GroupMember("layer", "out", ((0,), (1,), (2,), (3,))), wide))
    assert even_masks([group], 0.5)["layer"].tolist() == [False, True, True, False]
    assert even_masks([group], 0.0)["layer"].tolist() == [True, True, True, False]
    assert not even_masks([group], 1.0)["layer"].any()


@pytest.mark.parametrize("target", [Target.PARAMETERS, Target.MULTIPLY_ADDS])
def test_a_ratio_that_floors_forbid_is_refused_before_training(pipeline, groups, target):
    quantity = make_quantity(target, pipeline, groups, lambda step: pytest.fail("nothing is scored"))
    options = FinetuneOptions(ratio=0.9, target=target)
    with pytest.raises(ConfigurationError, match=rf"ratio: expected at most 0\.\d+ of the {target}.*got 0\.9; lower"):
        require_reachable(options, quantity)
    require_reachable(FinetuneOptions(ratio=0.9, target=target, criterion=Criterion.NONE), quantity)
    require_reachable(FinetuneOptions(ratio=0.9, target=target, masks=MaskOptions(floor=0.1)), quantity)
    require_reachable(FinetuneOptions(ratio=0.6, target=target), quantity)


def test_less_than_was_asked_for_is_told(groups):
    quantity, options = ChannelQuantity(groups), FinetuneOptions(ratio=0.25, target=Target.CHANNELS)
    assert shortfall(options, quantity, 4 / 14) == ""
    assert shortfall(options, quantity, 3 / 14) == (
        "expected 0.25 of the channels to go, got 0.214: floor 0.5 keeps that share of every group; "
        "lower it to cut more"
    )
    assert shortfall(FinetuneOptions(criterion=Criterion.NONE), quantity, 0.0) == ""
