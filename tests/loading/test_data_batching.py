"""Batches, orders and parts of data sets."""

import pytest
import torch

from usncli.errors import ConfigurationError
from usncli.loading.batching import Joined, evenly_spaced
from usncli.loading.data import batches, collate, epoch_order, split_halves, subset
from usncli.types import Sample, Task


class Counted:
    """Five images whose pixels and classes are their index; remembers what was read."""

    task = Task.CLASSIFICATION
    label_names = ("a", "b", "c", "d", "e")
    labelled = True

    def __init__(self) -> None:
        self.read: list[int] = []

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> Sample:
        index = range(5)[index]
        self.read.append(index)
        return Sample(torch.full((1, 2, 2), index / 10), torch.tensor(index), f"{index}.png")


def test_collate() -> None:
    data = Counted()
    batch = collate([data[3], data[1]])
    assert batch.images.shape == (2, 1, 2, 2)
    assert batch.images[:, 0, 0, 0].tolist() == pytest.approx([0.3, 0.1])
    assert batch.targets.tolist() == [3, 1]
    assert batch.names == ("3.png", "1.png")


def test_batches_cover_everything_in_order_and_read_late() -> None:
    data = Counted()
    several = batches(data, 2)
    assert data.read == []
    assert next(several).targets.tolist() == [0, 1]
    assert data.read == [0, 1]
    assert [batch.targets.tolist() for batch in several] == [[2, 3], [4]]


def test_batches_in_an_order_of_ones_own() -> None:
    for order in ([4, 0, 0], torch.tensor([4, 0, 0])):
        assert [batch.targets.tolist() for batch in batches(Counted(), 2, order=order)] == [[4, 0], [0]]


def test_a_batch_has_at_least_one_sample() -> None:
    with pytest.raises(ConfigurationError, match="batch size: expected at least 1, got 0"):
        batches(Counted(), 0)


def test_epoch_order_is_a_permutation_that_depends_on_seed_and_epoch_alone() -> None:
    seen = set()
    for seed in (0, 1, 2, 2**40, -1):
        for epoch in range(4):
            order = epoch_order(50, seed, epoch)
            assert sorted(order.tolist()) == list(range(50))
            torch.manual_seed(epoch)
            assert torch.equal(order, epoch_order(50, seed, epoch))
            seen.add(tuple(order.tolist()))
    assert len(seen) == 20, "no two epochs or seeds share an order"


def test_epoch_order_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    epoch_order(10, 0, 0)
    assert torch.equal(before, torch.get_rng_state())


def test_epoch_order_stays_what_it_was() -> None:
    assert epoch_order(8, 0, 0).tolist() == [4, 1, 3, 5, 0, 2, 6, 7], (
        "a run that was interrupted before an update would not resume exactly"
    )


def test_joined() -> None:
    whole = Joined([subset(Counted(), [3, 1]), subset(Counted(), []), subset(Counted(), [0])])
    assert [int(whole[index].target) for index in range(len(whole))] == [3, 1, 0]
    assert (whole.task, whole.labelled) == (Counted().task, Counted().labelled)
    for index in (3, -1):
        with pytest.raises(IndexError, match="from 0 to 2"):
            whole[index]


def test_subset() -> None:
    part = subset(Counted(), torch.tensor([4, -4, 1]))
    assert (len(part), part.task, part.label_names, part.labelled) == (3, Task.CLASSIFICATION, tuple("abcde"), True)
    assert [int(sample.target) for sample in part] == [4, 1, 1]
    with pytest.raises(IndexError):
        subset(Counted(), [5])
    assert [int(sample.target) for sample in subset(part, [0, 2])] == [4, 1]


def test_halves_are_disjoint_and_whole() -> None:
    first, second = split_halves(Counted())
    assert [int(sample.target) for sample in first] == [0, 2, 4]
    assert [int(sample.target) for sample in second] == [1, 3]


@pytest.mark.parametrize(("count", "limit"), [(10, 1), (10, 3), (10, 10), (1797, 50)])
def test_evenly_spaced_positions_differ_and_span_the_data(count: int, limit: int) -> None:
    positions = evenly_spaced(count, limit)
    assert len(set(positions)) == limit
    assert positions[0] == 0
    assert max(positions) >= count - 1 - count / limit
    assert max(positions) < count
