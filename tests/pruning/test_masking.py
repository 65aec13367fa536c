import torch

from usncli.pruning.complexity import MaskedComplexity
from usncli.pruning.masking import ProgressiveMasking
from usncli.pruning.masks import ChannelMasker, join_masks, masked_share
from usncli.pruning.options import MaskOptions, Schedule
from usncli.pruning.quantities import ChannelQuantity, ComplexityQuantity
from usncli.scoring.groups import dependency_groups


def make_masking(pipeline, score, ratio=0.5, quantity=None, **options):
    groups = dependency_groups(pipeline.network, torch.zeros(2, 1, 8, 8))
    masker = ChannelMasker(pipeline.network, groups)
    chosen = MaskOptions(ramp=(0.1, 0.6), rescore=10, **options)
    return ProgressiveMasking(masker, score, quantity or ChannelQuantity(groups), ratio, 100, chosen)


def test_masks_follow_the_ramp_and_never_open_again(make_pipeline):
    generator = torch.Generator().manual_seed(0)

    def fickle(step):
        return tuple(torch.rand(size, generator=generator, dtype=torch.float64) for size in (6, 8))

    masking = make_masking(make_pipeline(), fickle)
    shares, before = [], None
    for step in range(101):
        masking.before_step(step)
        masks = masking.masker.masks
        if before is not None:
            assert all((masks[name] | ~before[name]).all() for name in masks)
        before, shares = masks, [*shares, masking.share]
    assert shares[10] == 0.0
    assert shares == sorted(shares)
    assert shares[60] == shares[100] == 0.5


def test_the_least_important_are_masked_and_the_floor_holds(make_pipeline):
    def score(step):
        return torch.arange(6).double(), torch.full((8,), 100.0).double()

    masking = make_masking(make_pipeline(), score, ratio=0.4, floor=0.5)
    masking.before_step(60)
    assert masking.masker.masks["first"].tolist() == [True] * 3 + [False] * 3
    assert masking.masker.masks["second"].sum() == round(0.4 * 14) - 3


def test_what_is_masked_keeps_the_importance_with_which_it_was_masked(make_pipeline):
    def score(step):
        return torch.arange(6).double() + step, torch.full((8,), 1000.0 + step).double()

    masking = make_masking(make_pipeline(), score, ratio=2 / 14, schedule=Schedule.LINEAR)
    assert masking.importances_by_group() == {}
    for step in range(101):
        masking.before_step(step)
    # Along the ramp, steps 10 to 60, 0.8 of two channels are asked for at step 30, 1.6 at step 50.
    assert masking.importances_by_group() == {
        "first": (30.0, 51.0, 62.0, 63.0, 64.0, 65.0),
        "second": (1060.0,) * 8,
    }
    restored = make_masking(make_pipeline(), score, ratio=2 / 14, schedule=Schedule.LINEAR)
    restored.restore(masking.state())
    assert restored.importances_by_group() == masking.importances_by_group()


def test_channels_are_cut_in_order_until_enough_parameters_are_gone(make_pipeline):
    pipeline = make_pipeline()
    groups = dependency_groups(pipeline.network, torch.zeros(2, 1, 8, 8))
    quantity = ComplexityQuantity(MaskedComplexity(pipeline, groups), "parameters")
    importance = (torch.tensor([5.0, 1, 9, 9, 9, 9]).double(), torch.tensor([2.0, 3, 4, 9, 9, 9, 9, 9]).double())
    # of 658 parameters: first 1 takes 10 + 2 + 72, each of the second ones then 46 + 18: 84, 148, 212, 276
    for ratio, cut in ((0.1, (1, 0)), (83.9 / 658, (1, 0)), (84.1 / 658, (1, 1)), (0.3, (1, 2)), (212.1 / 658, (1, 3))):
        masking = make_masking(make_pipeline(), lambda step: importance, ratio, quantity)
        masking.before_step(60)
        assert tuple(int(mask.sum()) for mask in masking.masker.masks.values()) == cut
        assert masking.reached >= ratio
        assert masking.masker.masks["first"].tolist() == [False, True, False, False, False, False]


def test_floors_end_the_cutting(make_pipeline):
    pipeline = make_pipeline()
    groups = dependency_groups(pipeline.network, torch.zeros(2, 1, 8, 8))
    quantity = ComplexityQuantity(MaskedComplexity(pipeline, groups), "parameters")
    importance = tuple(torch.arange(size).double() for size in (6, 8))
    masking = make_masking(pipeline, lambda step: importance, 0.9, quantity, floor=0.5)
    masking.before_step(60)
    assert [int(mask.sum()) for mask in masking.masker.masks.values()] == [3, 4]
    assert masking.reached == quantity.reachable(0.5) < 0.9


def test_masks_go_by_the_mean_of_scores_and_a_saved_run_by_the_same_one(make_pipeline):
    steady, odd = torch.tensor([0.0, 1, 2, 3, 4, 5]).double(), torch.tensor([5.0, 4, 0, 3, 2, 1]).double()
    scores = {20: steady, 30: steady, 40: steady, 50: steady, 60: odd}

    def score(step):
        return scores[step], torch.full((8,), 100.0).double()

    def masks(momentum, stop=100):
        masking = make_masking(make_pipeline(), score, 3 / 14, score_momentum=momentum, schedule=Schedule.LINEAR)
        for step in (20, 30, 40, 50, 60):
            if step == stop:
                state = masking.state()
                masking = make_masking(
                    make_pipeline(), score, 3 / 14, score_momentum=momentum, schedule=Schedule.LINEAR
                )
                masking.restore(state)
            masking.before_step(step)
        return masking.masker.masks["first"].nonzero().flatten().tolist()

    assert masks(0.0) == [0, 1, 2]  # of the odd scores 2 is least; 0 and 1 were masked before
    scores[60] = torch.tensor([5.0, 4, 3, 0, 2, 1]).double()
    assert masks(0.0) == [0, 1, 3]
    assert masks(0.9) == masks(0.9, stop=60) == [0, 1, 2]


def test_one_shot_masks_all_at_once(make_pipeline):
    importance = tuple(torch.arange(size).double() for size in (6, 8))
    masking = make_masking(make_pipeline(), lambda step: importance, 0.5, schedule=Schedule.ONE_SHOT)
    shares = []
    for step in range(101):
        masking.before_step(step)
        shares.append(masking.share)
    assert shares == [0.0] * 10 + [0.5] * 91
    assert masking.final_step == 10


def test_masked_parameters_are_zero_and_others_are_not(make_pipeline):
    network = make_pipeline().network
    groups = dependency_groups(network, torch.zeros(2, 1, 8, 8))
    masker = ChannelMasker(network, groups)
    masker.extend({"first": torch.arange(6) == 2, "second": torch.arange(8) == 5})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    masker.apply()
    assert network.first.weight[2].abs().sum() == network.norm.bias[2].abs() == network.first.bias[2].abs() == 0
    assert network.second.weight[:, 2].abs().sum() == network.second.weight[5].abs().sum() == 0
    columns = network.last.weight.abs().sum(dim=0).view(8, 9)
    assert columns[5].sum() == 0
    assert (columns[[0, 1, 2, 3, 4, 6, 7]] > 0).all()
    assert network.second.weight.count_nonzero() == 7 * 5 * 9


def test_joined_masks_cut_what_either_cuts():
    joined = join_masks({"a": torch.tensor([True, False, False])}, {"a": torch.tensor([False, False, True])})
    assert joined["a"].tolist() == [True, False, True]
    assert masked_share(joined) == 2 / 3
    assert masked_share({}) == 0.0
