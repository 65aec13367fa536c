import pytest
import torch

from usncli.perturbing import parse_range
from usncli.pruning.criteria import ScoringContext
from usncli.pruning.masks import no_masks
from usncli.pruning.options import MaskOptions
from usncli.pruning.training_images import read_training_images
from usncli.pruning.unstable_relus import UnstableReluQuantity, count_sign_changes
from usncli.scoring.groups import dependency_groups
from usncli.types import Sample, Task


class FlatImages:
    """Two images of one grey value each."""

    task, label_names, labelled = Task.KEYPOINTS, ("dot",), True

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return Sample(torch.full((1, 8, 8), (0.4, 0.6)[index]), torch.zeros(1, 3), str(index))


def make_context(pipeline, *ranges):
    groups = dependency_groups(pipeline.network, torch.zeros(2, 1, 8, 8))
    images = read_training_images(FlatImages(), torch.device("cpu"))
    parsed = tuple(parse_range(text) for text in ranges)
    return ScoringContext(pipeline, groups, images, parsed, MaskOptions(scoring_images=2, scoring_samples=2), 0, 0)


def test_sign_changes_by_hand(make_pipeline):
    """Channel j of the first layer is (image - 0.3) / 0.2 - shift_j at every position, its batch norm does nothing."""
    pipeline = make_pipeline()
    network = pipeline.network
    with torch.no_grad():
        network.first.weight.zero_()
        network.first.weight[:, 0, 1, 1] = 1.0
        network.first.bias.copy_(torch.tensor([-0.5, -1.5, 0.0, -0.75, -1.0, -9.0]))  # zero at 0.4, 0.6, 0.3, 0.45, ...
        network.second.weight.zero_()
        network.second.bias.fill_(1.0)
    assert network.norm.eps > 0  # so that values that are 0 stay on one side, or the other, all alike
    context = make_context(pipeline, "brightness=0.08")
    # of 0.4 +- 0.08 and 0.6 +- 0.08, on 64 positions each
    assert count_sign_changes(context)["first"].tolist() == [64, 64, 0, 64, 0, 0]
    assert count_sign_changes(context)["second"].tolist() == [0] * 8
    both = make_context(pipeline, "brightness=0.08", "brightness=0.12")
    assert count_sign_changes(both)["first"].tolist() == [128, 128, 64, 64 + 64, 128, 0]
    assert not network.training


def test_a_masked_channel_counts_with_what_it_had(make_pipeline):
    groups = dependency_groups(make_pipeline().network, torch.zeros(2, 1, 8, 8))
    counts = {0: [6, 4, 0, 0, 0, 0], 10: [0, 2, 2, 0, 0, 0]}
    quantity = UnstableReluQuantity(
        lambda step: {"first": torch.tensor(counts[step]), "second": torch.zeros(8, dtype=torch.int64)}
    )
    masks = no_masks(groups)
    assert quantity.removed(masks) == 0.0
    quantity.measure(0, masks)
    masks["first"][0] = True
    assert quantity.removed(masks) == 0.6
    quantity.measure(10, masks)
    assert quantity.removed(masks) == 0.6  # 6 of 6 + 2 + 2
    later = UnstableReluQuantity(quantity.count)
    later.restore(quantity.state())
    masks["first"][1] = True
    assert later.removed(masks) == quantity.removed(masks) == 0.8


def test_nothing_is_left_to_cut_where_nothing_is_unstable(make_pipeline):
    groups = dependency_groups(make_pipeline().network, torch.zeros(2, 1, 8, 8))
    quantity = UnstableReluQuantity(lambda step: {group.name: torch.zeros(group.channels) for group in groups})
    quantity.measure(0, no_masks(groups))
    assert quantity.removed(no_masks(groups)) == pytest.approx(1.0)
