import torch

from usncli.pruning.record import CutGroup, record_cut
from usncli.scoring.groups import DependencyGroup, GroupMember


def group_of(name, channels):
    return DependencyGroup(name, channels, (), (GroupMember(name, "out", tuple((j,) for j in range(channels))),))


def test_a_second_cut_is_told_in_the_first_numbering():
    first = record_cut(
        [group_of("a", 5), group_of("b", 3), group_of("c", 2)],
        {"a": torch.tensor([0, 1, 0, 1, 0]) > 0, "b": torch.tensor([1, 0, 0]) > 0, "c": torch.zeros(2) > 0},
    )
    assert first == (CutGroup("a", ("a",), 5, (1, 3)), CutGroup("b", ("b",), 3, (0,)))
    # left of a: 0, 2, 4; b is excluded from the second run; c loses its second channel
    second = record_cut(
        [group_of("a", 3), group_of("c", 2)],
        {"a": torch.tensor([0, 1, 0]) > 0, "c": torch.tensor([0, 1]) > 0},
        earlier=first,
    )
    assert {group.name: group.removed for group in second} == {"a": (1, 2, 3), "c": (1,), "b": (0,)}
    assert all(CutGroup.from_record(vars(group)) == group for group in second)
