"""What is learned of one query's pieces says nothing of another's."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from usncli.bounding.affine.widths import HALF, Widths


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def queries(*values: int) -> Tensor:
    return torch.tensor(values)


def test_nothing_is_known_at_first() -> None:
    widths = Widths()
    assert widths.paid(queries(3)).tolist() == [-math.inf]
    assert widths.worth_trying(queries(3), numbers(1e9)).tolist() == [True]


def test_the_widest_that_was_proved_counts_for_its_query() -> None:
    widths = Widths()
    widths.learn(queries(1, 1, 2, 2), numbers(0.1, 0.4, 0.2, 0.3), torch.tensor([True, False, True, True]))
    widths.learn(queries(1), numbers(0.05), torch.tensor([True]))
    assert widths.paid(queries(2, 1, 3)).tolist() == [0.3, 0.1, -math.inf]
    assert bool(widths.worth_trying(queries(1, 2), numbers(9.0, 9.0)).all())


def test_what_stayed_open_speaks_against_all_but_parts_of_it_in_its_query() -> None:
    widths = Widths()
    widths.learn(queries(1), numbers(0.8), torch.tensor([True]))
    widths.learn(queries(1, 1, 2), numbers(0.2, 0.4, 0.4), torch.tensor([False, False, True]))
    assert widths.worth_trying(queries(1, 1, 2), numbers(0.41 * HALF, 0.4 * HALF, 5.0)).tolist() == [False, True, True]
    assert widths.paid(queries(1, 2)).tolist() == [HALF * 0.4, 0.4]
    widths.forget()
    assert widths.paid(queries(1, 2)).tolist() == [-math.inf] * 2
