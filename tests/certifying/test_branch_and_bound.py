"""The loop alone, on functions whose bounds are known."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from usncli.certifying.branch_and_bound import Bound, Bounds, Budget, Outcome, branch_and_bound
from usncli.perturbing import Boxes


def lipschitz(function: Callable[[Tensor], Tensor], slope: float) -> Bound:
    """Bound one row, a function of theta, by its value at the centre less slope times the radius."""

    def bound(boxes: Boxes, wanted: Tensor) -> Bounds:
        values = function(boxes.centres())
        radius = (boxes.upper - boxes.lower).amax(dim=1) / 2
        return Bounds(torch.stack([values - slope * radius, torch.ones_like(values)], dim=1), values)

    return bound


def run(bound: Bound, lower: list[float], upper: list[float], **budget: object) -> Outcome:
    options: dict[str, Any] = {"deadline": 1.0, "pieces": 5000, "batch": 7, "clock": lambda: 0.0} | budget
    box = Boxes(torch.tensor([lower]).double(), torch.tensor([upper]).double())
    functions = (bound, lambda theta: True)
    return branch_and_bound(box, torch.zeros(len(lower)).double(), 2, functions, 0.0, Budget(**options))


def test_all_is_proved() -> None:
    outcome = run(lipschitz(lambda theta: theta[:, 0].cos(), 1.0), [-1.0], [1.0])
    assert outcome.proved
    assert outcome.certified_fraction == 1.0
    assert outcome.certified_box == ((-1.0,), (1.0,))
    assert 0 < outcome.worst < 0.6


def test_a_failing_centre_ends_the_search() -> None:
    outcome = run(lipschitz(lambda theta: 0.5 - theta[:, 0], 1.0), [-1.0], [1.0])
    assert outcome.falsified
    assert not outcome.proved
    assert outcome.pieces < 20


def test_a_centre_that_is_not_confirmed_is_no_counterexample() -> None:
    box = Boxes(torch.tensor([[-1.0]]).double(), torch.tensor([[1.0]]).double())
    bound = lipschitz(lambda theta: 0.5 - theta[:, 0], 1.0)
    budget = Budget(deadline=1.0, pieces=60, batch=4, clock=lambda: 0.0)
    outcome = branch_and_bound(box, torch.zeros(1).double(), 2, (bound, lambda theta: False), 0.0, budget)
    assert not outcome.falsified
    assert not outcome.proved
    assert 0.5 < outcome.certified_fraction < 0.75
    assert outcome.certified_box is not None
    assert outcome.certified_box.lower == (-1.0,)
    assert 0.3 < outcome.certified_box.upper[0] <= 0.5


def test_a_bound_that_is_no_number_proves_nothing() -> None:
    def bound(boxes: Boxes, wanted: Tensor) -> Bounds:
        return Bounds(torch.full(wanted.shape, torch.nan), torch.ones(len(wanted)))

    outcome = run(bound, [0.0], [1.0], pieces=9)
    assert not outcome.proved
    assert outcome.certified_fraction == 0.0


def test_pieces_cover_the_box_and_share_their_ends() -> None:
    seen: list[tuple[float, float]] = []

    def bound(boxes: Boxes, wanted: Tensor) -> Bounds:
        narrow = (boxes.upper - boxes.lower)[:, 0] < 0.1
        ends = zip(boxes.lower[:, 0].tolist(), boxes.upper[:, 0].tolist(), narrow.tolist(), strict=True)
        closed = [(low, high) for low, high, is_narrow in ends if is_narrow]
        seen.extend(closed)
        values = narrow.double() - 0.5
        return Bounds(torch.stack([values, values], dim=1), torch.ones(len(values)))

    outcome = run(bound, [-0.3], [0.7])
    assert outcome.proved
    ordered = sorted(seen)
    assert (ordered[0][0], ordered[-1][1]) == (float(torch.tensor(-0.3)), float(torch.tensor(0.7)))
    assert all(first[1] == second[0] for first, second in itertools.pairwise(ordered))


@pytest.mark.parametrize("first_pieces", [1, 8])
def test_two_parameters(first_pieces: int) -> None:
    outcome = run(
        lipschitz(lambda theta: 1.2 - theta.abs().sum(dim=1), 2.0), [-0.5, -0.5], [0.5, 0.5], first_pieces=first_pieces
    )
    assert outcome.proved
    assert outcome.certified_box == ((-0.5, -0.5), (0.5, 0.5))


def test_the_clock_and_the_piece_budget_end_the_search() -> None:
    ticks = itertools.count()
    hopeless = lipschitz(lambda theta: torch.ones(len(theta)).double(), 1e9)
    assert run(hopeless, [0.0], [1.0], clock=lambda: float(next(ticks)), deadline=3.0).pieces == 1 + 2 + 4
    assert run(hopeless, [0.0], [1.0], pieces=10).pieces == 10


def test_rows_proved_on_a_piece_are_not_asked_of_its_parts() -> None:
    asked: list[list[bool]] = []

    def bound(boxes: Boxes, wanted: Tensor) -> Bounds:
        asked.extend(wanted.tolist())
        width = (boxes.upper - boxes.lower)[:, 0]
        lower = torch.stack([1.0 - width, torch.full_like(width, 1.0)], dim=1)
        return Bounds(torch.where(wanted, lower, -torch.inf), torch.ones(len(width)))

    assert run(bound, [0.0], [1.5]).proved
    assert asked[0] == [True, True]
    assert all(row == [True, False] for row in asked[1:])
