"""Shares and their exact intervals."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from usncli.reporting.rates import Rate, clopper_pearson


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [
        (0, 10, 0.0, 0.30850),
        (1, 10, 0.00253, 0.44502),
        (5, 10, 0.18709, 0.81291),
        (10, 10, 0.69150, 1.0),
        (17, 20, 0.62107, 0.96793),
        (81, 263, 0.25274, 0.36762),
    ],
)
def test_intervals_are_those_of_tables(count: int, total: int, low: float, high: float) -> None:
    """Quantiles of the beta distribution by another program, to five digits."""
    assert clopper_pearson(count, total) == pytest.approx((low, high), abs=1.5e-5)


@pytest.mark.parametrize(("count", "total"), [(1, 3), (7, 20), (199, 200), (350, 500)])
def test_each_end_leaves_a_fortieth_beyond_it(count: int, total: int) -> None:
    """In exact arithmetic: at the lower end so many or more have probability 2.5%, at the upper so many or fewer."""
    low, high = map(Fraction, clopper_pearson(count, total))

    def probability(share: Fraction, counts: range) -> float:
        return float(sum(math.comb(total, k) * share**k * (1 - share) ** (total - k) for k in counts))

    assert probability(low, range(count, total + 1)) == pytest.approx(0.025, rel=1e-6)
    assert probability(high, range(count + 1)) == pytest.approx(0.025, rel=1e-6)


def test_ends_are_known_in_closed_form_where_all_or_none_succeed() -> None:
    assert clopper_pearson(0, 500) == pytest.approx((0.0, 1 - 0.025 ** (1 / 500)))
    assert clopper_pearson(10_000, 10_000) == pytest.approx((0.025 ** (1 / 10_000), 1.0))
    assert clopper_pearson(0, 0) == (0.0, 1.0)


def test_another_confidence_is_another_interval() -> None:
    wide, narrow = clopper_pearson(5, 10, 0.99), clopper_pearson(5, 10, 0.5)
    assert wide[0] < clopper_pearson(5, 10)[0] < narrow[0] < 0.5 < narrow[1] < wide[1]


def test_words_round_outward() -> None:
    assert Rate(5, 10).interval_words == "18.7-81.3%"
    assert Rate(1, 3).interval_words == "0.8-90.6%"
    assert Rate(3, 3).interval_words == "29.2-100.0%"
    assert Rate(0, 0).interval_words == "0.0-100.0%"
    low, high = Rate(17, 20).interval
    assert Rate(17, 20).interval_words == "62.1-96.8%"
    assert 0.621 < low < high < 0.968
