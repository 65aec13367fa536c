"""Parts bounded side by side: in order, on shared cores, whatever breaks."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch
from containment import centre_values, output_rows, work_of
from random_networks import SHAPE, random_lines, random_network

from usncli.bounding.affine.engine import MOST_IN_A_PART, AffineEngine
from usncli.bounding.affine.side_by_side import side_by_side


@pytest.fixture(autouse=True)
def cores() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def cores_of_a_later_thread() -> int:
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return seen[0]


@pytest.mark.parametrize(
    ("cores", "parts", "threads", "each"), [(1, 3, 1, 1), (2, 3, 2, 1), (4, 2, 2, 2), (3, 1, 1, 3)]
)
def test_cores_are_shared_out_and_given_back(cores: int, parts: int, threads: int, each: int) -> None:
    torch.set_num_threads(cores)
    met, together = set[int](), threading.Barrier(threads, timeout=30)

    def part(number: int) -> tuple[int, int]:
        if number < threads:
            together.wait()
        met.add(threading.get_ident())
        return number, torch.get_num_threads()

    assert side_by_side(part, range(parts)) == [(number, each) for number in range(parts)]
    assert len(met) == threads
    assert torch.get_num_threads() == cores_of_a_later_thread() == cores


def test_what_breaks_in_a_part_is_raised_and_cores_are_given_back() -> None:
    torch.set_num_threads(2)

    def part(number: int) -> int:
        if number == 1:
            raise ArithmeticError("the second")
        return number

    with pytest.raises(ArithmeticError, match="the second"):
        side_by_side(part, range(3))
    assert torch.get_num_threads() == cores_of_a_later_thread() == 2


@pytest.mark.parametrize("seed", [1, 9])
def test_bounds_do_not_depend_on_the_number_of_threads(seed: int) -> None:
    """Nor does a piece among many get another one's bounds."""
    network = random_network(seed)
    outputs = int(network(torch.zeros(1, *SHAPE).double()).shape[1])
    count = 2 * MOST_IN_A_PART + 5
    lines = random_lines(seed, tuple(0.01 * (1 + place % 7) for place in range(count)))
    rows = output_rows(outputs, count)
    engine = AffineEngine(network, torch.zeros(1, *SHAPE).double())
    work = work_of(lines, rows, centre_values(network, lines, rows), 1)
    found = []
    for cores in (1, 2, 3):
        torch.set_num_threads(cores)
        engine.forget()
        found.append(engine.lower_bounds(work))
    for other in found[1:]:
        for first, second in zip(found[0], other, strict=True):
            assert torch.equal(first, second)
    engine.forget()
    for piece in (0, MOST_IN_A_PART, count - 1):
        chosen = torch.tensor([piece])
        alone = engine.lower_bounds(work.pieces(chosen)).lower[0]
        assert torch.allclose(found[0].lower[piece], alone, rtol=1e-5, atol=1e-5)
        assert not torch.allclose(found[0].lower[piece - 1], alone, rtol=1e-5, atol=1e-5)
