"""How many parts a piece is cut into, and where."""

from __future__ import annotations

import pytest
import torch

from usncli.bounding.engine import POWER
from usncli.certifying.splitting import MOST_ALONG_ONE, cut, parts_needed, share_that_may_stay
from usncli.perturbing import Boxes


def test_the_share_is_that_of_the_worst_open_row() -> None:
    lower = torch.tensor([[-1.0, -9.0, 0.5], [-1.0, -3.0, 0.5], [-torch.inf, 0.5, 0.5], [torch.nan, 0.5, 0.5]])
    centre = torch.tensor([1.0, 1.0, 1.0]).expand(4, 3)
    still_open = torch.tensor([[True, False, False], [True, True, False], [True, False, False], [True, False, False]])
    assert share_that_may_stay(lower, centre, 0.0, still_open).tolist() == [0.5, 0.25, 0.0, 0.0]
    assert share_that_may_stay(lower, centre, 0.5, still_open)[:2].tolist() == [0.25, 0.125]
    assert share_that_may_stay(lower, -centre, 0.0, still_open)[:1].tolist() == [0.0]


@pytest.mark.parametrize("needed", [2, 3, 5, MOST_ALONG_ONE])
def test_as_many_parts_as_bring_the_looseness_down(needed: int) -> None:
    just = torch.tensor([needed**-POWER, needed**-POWER * 0.98], dtype=torch.float64)
    parts = parts_needed(just, torch.ones(2, 1).double())[:, 0].tolist()
    assert parts == [needed, min(needed + 1, MOST_ALONG_ONE)]


def test_parts_of_two_parameters_follow_what_helps() -> None:
    share = torch.tensor([1.0, 3.0**-POWER, 2.0**-POWER, 0.0, 0.0], dtype=torch.float64)
    pull = torch.tensor([[1.0, 1.0], [1.0, 0.0], [3.0, 1.0], [1.0, 1.0], [0.0, 1.0]]).double()
    assert parts_needed(share, pull)[1:].tolist() == [[3, 1], [3, 1], [4, 4], [1, 8]]
    assert parts_needed(share, pull)[0].prod() == 2
    assert parts_needed(share[2:3], torch.tensor([[8.0, 1.0]]).double()).tolist() == [[3, 1]]
    assert parts_needed(share[1:2], torch.tensor([[0.0, 0.0]]).double()).prod() > 1


def test_parts_cover_a_piece_without_gaps() -> None:
    boxes = Boxes(torch.tensor([[0.1, -0.3], [0.7, 0.0]]).double(), torch.tensor([[0.7, 0.3], [0.9, 0.1]]).double())
    parts, parent = cut(boxes, torch.tensor([[3, 2], [1, 1]]))
    assert parent.tolist() == [0] * 6 + [1]
    assert float((parts.upper - parts.lower).prod(dim=1)[:6].sum()) == pytest.approx(0.36)
    assert parts.lower[:6].amin(dim=0).tolist() == boxes.lower[0].tolist()
    assert parts.upper[:6].amax(dim=0).tolist() == boxes.upper[0].tolist()
    assert set(parts.upper[:3, 0].tolist()[:2]) == set(parts.lower[:3, 0].tolist()[1:])
    assert set(parts.upper[:3, 1].tolist()) == set(parts.lower[3:6, 1].tolist())
    assert parts.lower[6].tolist() == boxes.lower[1].tolist()
