import torch

from usncli.pruning.masking import ProgressiveMasking
from usncli.pruning.masks import ChannelMasker, join_masks, masked_share
from usncli.pruning.options import MaskOptions
from usncli.scoring.groups import dependency_groups


def make_masking(pipeline, score, ratio=0.5, **options):
    groups = dependency_groups(pipeline.network, torch.zeros(2, 1, 8, 8))
    masker = ChannelMasker(pipeline.network, groups)
    return ProgressiveMasking(masker, score, ratio, 100, MaskOptions(ramp=(0.1, 0.6), rescore=10, **options))


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
