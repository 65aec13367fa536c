"""The loop alone, on functions whose bounds are known."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from usncli.certifying.branch_and_bound import Found, Outcome, Search, start_pieces
from usncli.certifying.scaling import ScaledRange
from usncli.perturbing import Boxes

Bound = Callable[[Boxes, Tensor], Found]


def found(lower: Tensor, values: Tensor, split: Tensor) -> Found:
    """One row that is bounded, and one that is always 1."""
    ones = torch.ones_like(values)
    return Found(torch.stack([lower, ones], dim=1), torch.stack([values, ones], dim=1), values, split, ones, 0 * ones)


def curved(function: Callable[[Tensor], Tensor], weights: list[float], power: float = 2.0) -> Bound:
    """Bound a function of theta by its value at the centre less a power of the widths' weighted sum."""

    def bound(boxes: Boxes, wanted: Tensor) -> Found:
        values, pull = function(boxes.centres()), (boxes.upper - boxes.lower) * torch.tensor(weights).double()
        return found(values - pull.sum(dim=1) ** power, values, pull)

    return bound


def region(lower: list[float], upper: list[float], identity: float = 0.0) -> ScaledRange:
    ends = [torch.tensor(end, dtype=torch.float64) for end in (lower, upper)]
    return ScaledRange(*ends, torch.full_like(ends[0], identity))


def run(bound: Bound, space: ScaledRange, size: int = 7, most: int = 5000, start: list[int] | None = None) -> Outcome:
    search = Search(space, start_pieces(space, 2, start or [1] * len(space.identity)))
    while not search.over and search.pieces < most:
        pieces = search.next_round(min(size, most - search.pieces))
        search.settle(pieces, bound(pieces.boxes, pieces.wanted), 0.0)
    outcome = search.outcome()
    covered = float(space.shares(Boxes(outcome.partition.lower, outcome.partition.upper)).sum())
    assert covered == pytest.approx(outcome.certified_fraction)
    return outcome


def test_all_is_proved() -> None:
    outcome = run(curved(lambda theta: theta[:, 0].cos(), [1.0]), region([-1.0], [1.0]))
    assert outcome.proved
    assert (outcome.certified_fraction, outcome.certified_scale) == (1.0, 1.0)
    assert outcome.certified_box == ((-1.0,), (1.0,))
    assert 0 < outcome.worst < 0.6


def test_what_fails_stays_open_and_the_rest_around_the_identity_is_proved() -> None:
    outcome = run(curved(lambda theta: 0.5 - theta[:, 0], [0.6], 1.0), region([-1.0], [1.0]), most=400)
    assert not outcome.proved
    assert 0.74 < outcome.certified_fraction < 0.75
    assert outcome.certified_box is not None
    assert outcome.certified_box.lower == (-1.0,)
    assert 0.49 < outcome.certified_box.upper[0] <= 0.5
    assert 0.49 < outcome.certified_scale <= 0.5
    assert outcome.worst < 0


def test_a_point_that_cannot_be_proved_is_left_alone_in_the_end() -> None:
    # At 0.3 the value is 0, which no bound exceeds; everything else holds.
    outcome = run(curved(lambda theta: (theta[:, 0] - 0.3).abs(), [0.6], 1.0), region([-1.0], [1.0]), most=100_000)
    assert not outcome.proved
    assert outcome.pieces < 500
    assert 0.999 < outcome.certified_fraction < 1


def test_a_bound_that_is_no_number_proves_nothing() -> None:
    def bound(boxes: Boxes, wanted: Tensor) -> Found:
        ones = torch.ones(len(wanted), dtype=torch.float64)
        return Found(torch.full(wanted.shape, torch.nan), torch.ones(wanted.shape), ones, boxes.upper, ones, 0 * ones)

    outcome = run(bound, region([0.0], [1.0]), most=9)
    assert not outcome.proved
    assert (outcome.certified_fraction, outcome.certified_scale, outcome.certified_box) == (0.0, 0.0, None)


def test_a_piece_too_narrow_to_cut_ends_the_search() -> None:
    def bound(boxes: Boxes, wanted: Tensor) -> Found:
        holds = ((boxes.lower <= 0.3) & (boxes.upper >= 0.3))[:, 0]
        return found(1 - 2 * holds.double(), torch.ones(len(wanted), dtype=torch.float64), boxes.upper - boxes.lower)

    outcome = run(bound, region([-1.0], [1.0]), most=10**6)
    assert not outcome.proved
    assert outcome.pieces < 1000
    assert outcome.certified_box is not None
    assert outcome.certified_box.upper[0] == pytest.approx(0.3, abs=1e-12)


def test_pieces_cover_the_box_and_share_their_ends() -> None:
    space = region([-0.3], [0.7])
    outcome = run(curved(lambda theta: theta[:, 0] ** 2 + 0.01, [1.0]), space, start=[3])
    assert outcome.proved
    ordered = sorted(zip(*[ends[:, 0].tolist() for ends in outcome.partition], strict=True))
    assert (ordered[0][0], ordered[-1][1]) == (-0.3, 0.7)
    assert all(first[1] == second[0] for first, second in itertools.pairwise(ordered))
    widths = [high - low for low, high in ordered]
    assert max(widths) > 3 * min(widths)


@pytest.mark.parametrize("start", [[1, 1], [5, 3]])
def test_two_parameters(start: list[int]) -> None:
    outcome = run(
        curved(lambda theta: 1.2 - theta.abs().sum(dim=1), [1.0, 1.0]), region([-0.5, -0.5], [0.5, 0.5]), start=start
    )
    assert outcome.proved
    assert outcome.certified_box == ((-0.5, -0.5), (0.5, 0.5))


def test_cuts_go_where_they_help() -> None:
    outcome = run(curved(lambda theta: 0.02 + 0 * theta[:, 0], [1.0, 0.05]), region([0.0, 0.0], [1.0, 1.0]))
    assert outcome.proved
    widths = outcome.partition.upper - outcome.partition.lower
    assert float(widths[:, 1].min()) > 3 * float(widths[:, 0].max())
    assert outcome.pieces < 40


def test_a_right_prediction_costs_little_more_than_the_pieces_needed() -> None:
    # Pieces of at most 0.01 are needed: 100 at least.
    outcome = run(curved(lambda theta: 1e-4 + 0 * theta[:, 0], [1.0]), region([0.0], [1.0]), size=32)
    assert outcome.proved
    assert len(outcome.partition.lower) < 250
    assert outcome.pieces < 350


def test_a_parameter_without_width() -> None:
    outcome = run(curved(lambda theta: 0.2 - theta[:, 0], [1.0, 1.0]), region([-0.1, 0.0], [0.1, 0.0]))
    assert outcome.proved
    assert outcome.certified_fraction == 1.0
    point = run(curved(lambda theta: 0.2 - theta[:, 0], [1.0]), region([0.0], [0.0]))
    assert point.proved


def test_rows_proved_on_a_piece_are_not_asked_of_its_parts() -> None:
    asked: list[list[bool]] = []

    def bound(boxes: Boxes, wanted: Tensor) -> Found:
        asked.extend(wanted.tolist())
        width = boxes.upper - boxes.lower
        result = found(1.0 - width[:, 0], torch.ones(len(width)).double(), width)
        return result._replace(lower=torch.where(wanted, result.lower, -torch.inf))

    assert run(bound, region([0.0], [1.5])).proved
    assert asked[0] == [True, True]
    assert all(row == [True, False] for row in asked[1:])


def test_near_pieces_come_first_and_a_few_dangerous_ones() -> None:
    space = region([0.0], [1.0])
    pieces = start_pieces(space, 1, [100])
    search = Search(space, pieces._replace(margins=100 - torch.arange(100).double()))
    taken = search.next_round(8).boxes.lower[:, 0]
    assert sorted((100 * taken).round().int().tolist()) == [0, 1, 2, 3, 4, 5, 98, 99]
    assert len(search.open.margins) == 92


def test_shrinking_gives_up_what_lies_beyond() -> None:
    space = region([-1.0, -2.0], [1.0, 2.0])
    search = Search(space, start_pieces(space, 1, [4, 4]))
    search.shrink(0.75)
    boxes = search.open.boxes
    assert float(space.shares(boxes).sum()) == pytest.approx(0.75**2)
    assert float(space.scales(boxes).max()) == 0.5
    search.shrink(0.5)
    assert len(search.open.margins) == 4
    pieces = search.next_round(9)
    search.settle(
        pieces, Found(*[torch.ones(4, 1)] * 2, torch.ones(4), torch.ones(4, 2), torch.ones(4), torch.zeros(4)), 0.0
    )
    outcome = search.outcome()
    assert search.over
    assert not outcome.proved
    assert outcome.certified_scale == pytest.approx(0.5)
    assert outcome.certified_fraction == pytest.approx(0.25)


def test_the_certified_scale_is_that_of_the_nearest_gap() -> None:
    space = region([-1.0, -1.0], [1.0, 1.0])
    search = Search(space, start_pieces(space, 1, [8, 8]))
    pieces = search.next_round(64)
    corner = (pieces.boxes.lower[:, 0] >= 0.5) & (pieces.boxes.lower[:, 1] <= -1)
    lower = torch.where(corner, -1.0, 1.0).double().unsqueeze(1)
    ones = torch.ones(64, dtype=torch.float64)
    search.settle(pieces, Found(lower, ones.unsqueeze(1), ones, torch.ones(64, 2), ones, 0 * ones), 0.0)
    outcome = search.outcome()
    assert outcome.certified_scale == pytest.approx(0.75)
    assert outcome.certified_scale < 0.75
