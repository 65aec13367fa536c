from __future__ import annotations

import itertools
import math
import random

import pytest
import torch

from usncli.certifying.partition import Partition, covers
from usncli.certifying.splitting import cut
from usncli.perturbing import Boxes


def boxes_of(*pieces: tuple[tuple[float, float], ...]) -> Boxes:
    ends = torch.tensor(pieces, dtype=torch.float64).reshape(len(pieces), -1, 2)
    return Boxes(ends[..., 0], ends[..., 1])


def random_cutting(generator: random.Random, dimension: int, rounds: int) -> Boxes:
    """Pieces as a search leaves them: some are cut again and again."""
    boxes = boxes_of(tuple((-0.3, 0.7) for _ in range(dimension)))
    for _ in range(rounds):
        parts = torch.tensor([[generator.choice([1, 2, 3]) for _ in range(dimension)] for _ in range(len(boxes.lower))])
        boxes, _ = cut(boxes, parts)
    return boxes


@pytest.mark.parametrize("dimension", [1, 2, 3])
@pytest.mark.parametrize("seed", range(6))
def test_a_cutting_covers_and_without_any_of_its_pieces_it_does_not(dimension: int, seed: int) -> None:
    generator = random.Random(seed)
    boxes = random_cutting(generator, dimension, 2)
    whole = ((-0.3,) * dimension, (0.7,) * dimension)
    assert covers(boxes, *whole)
    order = torch.randperm(len(boxes.lower))
    assert covers(Boxes(boxes.lower[order], boxes.upper[order]), *whole)
    for gone in generator.sample(range(len(boxes.lower)), min(8, len(boxes.lower))):
        kept = torch.arange(len(boxes.lower)) != gone
        assert not covers(Boxes(boxes.lower[kept], boxes.upper[kept]), *whole)


@pytest.mark.parametrize("dimension", [1, 2])
def test_the_least_gap_is_seen(dimension: int) -> None:
    boxes = random_cutting(random.Random(1), dimension, 2)
    whole = ((-0.3,) * dimension, (0.7,) * dimension)
    for piece, axis in itertools.product(range(len(boxes.lower)), range(dimension)):
        for ends, away in ((boxes.lower, math.inf), (boxes.upper, -math.inf)):
            kept = ends[piece, axis].clone()
            ends[piece, axis] = math.nextafter(float(kept), away)
            assert not covers(boxes, *whole)
            ends[piece, axis] = kept
    assert covers(boxes, *whole)


@pytest.mark.parametrize(
    ("boxes", "lower", "upper", "expected"),
    [
        (boxes_of(((0, 1),), ((2, 3),)), (2.0,), (3.0,), True),
        (boxes_of(((0, 2),), ((2.5, 3),)), (2.0,), (3.0,), False),
        (boxes_of(((-1, 5),)), (2.0,), (3.0,), True),
        (boxes_of(((0, 1),), ((0.5, 2),)), (0.0,), (2.0,), True),
        (boxes_of(((0, 0),)), (0.0,), (0.0,), True),
        (boxes_of(((0, 0),)), (0.0,), (0.1,), False),
        (boxes_of(((0, 1), (0.2, 0.2))), (0.0, 0.2), (1.0, 0.2), True),
        (boxes_of(((0, 1), (0.3, 0.4))), (0.0, 0.2), (1.0, 0.2), False),
        (boxes_of(((0.1, 0.1), (0, 1))), (0.1, 0.0), (0.1, 1.0), True),
        (boxes_of(((0, 1), (0, 1)), ((1, 2), (0, 0.5)), ((1, 2), (0.5, 1))), (0.0, 0.0), (2.0, 1.0), True),
        (boxes_of(((0, 1), (0, 1)), ((1, 2), (0, 0.5)), ((1, 2), (0.6, 1))), (0.0, 0.0), (2.0, 1.0), False),
        (boxes_of(((0, math.nan),)), (0.0,), (1.0,), False),
        (boxes_of(((-math.inf, math.inf),)), (0.0,), (1.0,), False),
        (boxes_of(((0, 1),)), (1.0,), (0.0,), False),
        (Boxes(torch.zeros(0, 1), torch.zeros(0, 1)), (0.0,), (1.0,), False),
    ],
)
def test_coverage_by_hand(boxes: Boxes, lower: tuple[float, ...], upper: tuple[float, ...], expected: bool) -> None:
    assert covers(boxes, lower, upper) is expected


def test_coverage_agrees_with_points_that_are_tried_one_by_one() -> None:
    generator = random.Random(5)
    seen = set()
    for _ in range(300):
        pieces = [
            tuple(tuple(sorted(generator.choices(range(4), k=2))) for _ in range(2))
            for _ in range(generator.randint(3, 9))
        ]
        points = [(x / 2, y / 2) for x in range(7) for y in range(7)]
        expected = all(
            any(all(low <= value <= up for value, (low, up) in zip(point, piece, strict=True)) for piece in pieces)
            for point in points
        )
        assert covers(boxes_of(*pieces), (0.0, 0.0), (3.0, 3.0)) is expected
        seen.add(expected)
    assert seen == {True, False}


@pytest.mark.parametrize("dimension", [1, 2])
@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_a_partition_gives_back_the_same_pieces_bit_by_bit(dimension: int, rounds: int) -> None:
    boxes = random_cutting(random.Random(3), dimension, rounds)
    partition = Partition.of(boxes)
    again = Partition.from_record(partition.to_record())
    assert again == partition
    pairs = [torch.cat(list(item), dim=1).tolist() for item in (boxes, again.boxes())]
    assert sorted(pairs[0]) == sorted(pairs[1])
    if dimension == 1:
        assert partition.cells is None


def test_a_range_without_width_is_a_piece_without_width() -> None:
    boxes = boxes_of(((0.1, 0.1), (0, 0.5)), ((0.1, 0.1), (0.5, 1)))
    again = Partition.of(boxes).boxes()
    assert torch.equal(again.lower, boxes.lower)
    assert torch.equal(again.upper, boxes.upper)


@pytest.mark.parametrize("cells", [((0, 2),), ((-1, 0),), ((0, 1, 0, 1),)])
def test_a_piece_with_an_edge_that_is_not_there_is_refused(cells: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ValueError, match="edge"):
        Partition(((0.0, 1.0),), cells).boxes()
