"""Our own engine, whatever batch a piece is in and however odd it is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
import torch
from containment import (
    EVERYTHING,
    cells_of,
    centre_values,
    coordinate_rows,
    forward_state,
    output_rows,
    refining_always,
    rows_excess,
    sampled,
    state_excess,
    work_of,
)
from random_networks import SHAPE, Sketch, one_operation, random_lines, random_network
from torch import fx

from usncli.bounding.affine import batch, tightening
from usncli.bounding.affine.effort import Effort
from usncli.bounding.affine.engine import AffineEngine
from usncli.bounding.affine.open_rows import opposites
from usncli.bounding.engine import POWER, Bounded, Work
from usncli.bounding.method import Arithmetic
from usncli.bounding.rewriting.activation import Function
from usncli.bounding.rewriting.linear_maps import Linear, ScaleShift
from usncli.bounding.rows import Rows
from usncli.perturbing import Lines

SEEDS = (1, 5, 9, 20)


def engine_of(
    network: fx.GraphModule, arithmetic: Arithmetic = Arithmetic.REAL, effort: Effort = EVERYTHING
) -> AffineEngine:
    example = torch.zeros(1, *next(iter(network.graph.nodes)).meta.get("shape", SHAPE)).double()
    return AffineEngine(network, example, arithmetic=arithmetic, effort=effort)


def bound(engine: AffineEngine, network: fx.GraphModule, lines: Lines, rows: Rows, dimension: int = 1) -> Bounded:
    centre = torch.nan_to_num(centre_values(network, lines, rows))
    engine.forget()
    return engine.lower_bounds(work_of(lines, rows, centre, dimension))


def some(lines: Lines, pieces: list[int]) -> Lines:
    slope = lines.lower_slope[pieces]
    upper = slope if lines.upper_slope is lines.lower_slope else lines.upper_slope[pieces]
    return Lines(slope, lines.lower[pieces], upper, lines.upper[pieces])


def outputs_of(network: fx.GraphModule) -> int:
    return int(network(torch.zeros(1, *SHAPE).double()).shape[1])


@pytest.mark.parametrize("arithmetic", list(Arithmetic))
@pytest.mark.parametrize("seed", SEEDS)
def test_a_piece_alone_and_in_a_batch(seed: int, arithmetic: Arithmetic) -> None:
    """Beside pieces of its kind and beside one 100,000 times as wide: only tiny terms of rounding differ."""
    network = random_network(seed)
    engine, outputs = engine_of(network, arithmetic), outputs_of(network)
    lines = random_lines(seed, (0.01, 0.02, 1e3))
    together = bound(engine, network, lines, output_rows(outputs, 3)).lower
    for piece in (0, 1):
        alone = bound(engine, network, some(lines, [piece]), output_rows(outputs, 1)).lower
        assert torch.allclose(together[piece], alone[0], rtol=1e-5, atol=1e-5)
    turned = bound(engine, network, some(lines, [2, 1, 0]), output_rows(outputs, 3)).lower
    assert torch.allclose(turned.flip(0)[:2], together[:2], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_little_memory_gives_the_same_bounds(seed: int) -> None:
    network = random_network(seed)
    outputs = outputs_of(network)
    lines, rows = random_lines(seed, (0.05, 0.3, 0.5)), coordinate_rows(outputs, 3)
    with refining_always():
        much, little = (
            bound(engine_of(network, effort=replace(EVERYTHING, memory=memory)), network, lines, rows).lower
            for memory in (1e9, 3e3)
        )
    assert bool(much.isfinite().all())
    assert torch.allclose(much, little, rtol=1e-6, atol=1e-6)


ODD: Mapping[str, Callable[[Lines], Lines]] = {
    "not a number": lambda lines: at_one_value(lines, math.nan),
    "infinite": lambda lines: at_one_value(lines, math.inf),
    "minus infinite": lambda lines: at_one_value(lines, -math.inf),
    "a slope that is not a number": lambda lines: with_slope(lines, math.nan),
    "an infinite slope": lambda lines: with_slope(lines, math.inf),
}


def at_one_value(lines: Lines, value: float) -> Lines:
    lower = lines.lower.clone()
    lower[1].view(-1)[3] = value
    return lines._replace(lower=lower)


def with_slope(lines: Lines, value: float) -> Lines:
    slope = lines.lower_slope.clone()
    slope[1].view(-1)[3] = value
    return Lines(slope, lines.lower, slope, lines.upper)


def every_value(sketch: Sketch) -> fx.GraphModule:
    """Return a network each of whose outputs sees every value, through functions that may swallow what is no number."""
    value = sketch.activation(sketch.dense(sketch.image, 6), Function.RELU)
    value = sketch.activation(sketch.dense(value, 6), Function.CLAMP, lowest=-1.0, highest=1.0)
    value = sketch.product(value, sketch.activation(value, Function.SIGMOID))
    value = sketch.maximum(sketch.reshape(value, 1, 2, 3), 2, 1, 1)
    return sketch.finish(sketch.dense(sketch.activation(value, Function.SILU), 4))


@pytest.mark.parametrize("arithmetic", list(Arithmetic))
@pytest.mark.parametrize("name", ODD)
def test_what_is_no_number_proves_nothing(name: str, arithmetic: Arithmetic) -> None:
    network = every_value(Sketch(0))
    rows = Rows(*(part.expand(3, -1, *part.shape[2:]) for part in output_rows(4, 1)))
    # Whatever the rows ask for, even what would hold for any number.
    rows = rows._replace(coefficients=rows.coefficients.clone(), bias=rows.bias + 100)
    lines = random_lines(0, (0.01, 0.01, 0.02))
    engine = engine_of(network, arithmetic)
    clean = bound(engine, network, lines, rows).lower
    assert bool((clean > 0).all())
    lower = bound(engine, network, ODD[name](lines), rows).lower
    assert not bool((lower[1] > 0).any())
    # And spoils nothing else.
    assert torch.allclose(lower[[0, 2]], clean[[0, 2]], rtol=1e-6, atol=1e-6)


def test_values_beyond_every_format_prove_nothing() -> None:
    sketch = Sketch(0)
    value = sketch.dense(sketch.image, 4)
    for _ in range(6):
        value = sketch.affine(value, Linear(1e30 * sketch.normal(4, 4), None))
        value = sketch.activation(value, Function.RELU)
    value = sketch.activation(value, Function.EXP)
    network = sketch.finish(sketch.affine(value, Linear(torch.zeros(2, 4).double(), torch.ones(2).double())))
    rows = coordinate_rows(2, 1)
    for effort in (EVERYTHING, Effort(), Effort(0.0, 0.0)):
        lower = bound(engine_of(network, effort=effort), network, random_lines(0, (0.1,)), rows).lower
        assert not bool((lower > 0).any())


def network_of(grow: Callable[[Sketch], object]) -> fx.GraphModule:
    sketch = Sketch(2)
    return sketch.finish(grow(sketch))  # type: ignore[arg-type]


def constants(sketch: Sketch) -> object:
    """ReLUs of constants, 0 among them."""
    zero = sketch.affine(
        sketch.image, ScaleShift(torch.zeros(()).double(), sketch.normal(*SHAPE).clamp(-1, 0.5).round())
    )
    return sketch.add(sketch.activation(zero, Function.RELU), sketch.image)


def denormals(sketch: Sketch) -> object:
    tiny = sketch.affine(sketch.image, ScaleShift(torch.tensor(1e-42).double()))
    tiny = sketch.add(sketch.activation(tiny, Function.RELU), sketch.product(tiny, tiny))
    return sketch.affine(tiny, ScaleShift(torch.tensor(1e38).double()))


NETWORKS: Mapping[str, fx.GraphModule] = {
    "its input": network_of(lambda sketch: sketch.image),
    "a sum with itself": network_of(lambda sketch: sketch.add(sketch.image, sketch.image)),
    "a product with itself": network_of(lambda sketch: sketch.product(sketch.image, sketch.image)),
    "a relu": network_of(lambda sketch: sketch.activation(sketch.image, Function.RELU)),
    "relus of constants": network_of(constants),
    "denormals": network_of(denormals),
    "one output": network_of(lambda sketch: sketch.dense(sketch.activation(sketch.image, Function.TANH), 1)),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("width", [0.0, 1e-40, 0.3, 1e6])
def test_odd_networks_and_widths(name: str, width: float) -> None:
    network, lines = NETWORKS[name], random_lines(4, (width,))
    outputs = outputs_of(network)
    everyones = [sampled(network, lines, 0, 200)]
    output = [node.name for node in network.graph.nodes if node.op != "output"][-1]
    for rows in (output_rows(outputs, 1, 3), coordinate_rows(outputs, 1)):
        for effort in (EVERYTHING, Effort()):
            lower = bound(engine_of(network, effort=effort), network, lines, rows).lower
            assert bool(lower.isfinite().all())
            assert rows_excess(lower, rows, output, everyones) <= 0


def test_rows_that_are_padding_or_not_wanted() -> None:
    network = random_network(3)
    outputs, lines = outputs_of(network), random_lines(3, (0.1, 0.2))
    own = output_rows(outputs, 2, 3)
    # As batches of several queries have: coefficients of 0 and a bias of 1.
    padded = Rows(
        torch.nn.functional.pad(own.indices, (0, 0, 0, 2)),
        torch.nn.functional.pad(own.coefficients, (0, 0, 0, 2)),
        torch.nn.functional.pad(own.bias, (0, 2), value=1.0),
    )
    centre = centre_values(network, lines, padded)
    wanted = torch.tensor([[True, False, True, False, False], [False] * 5])
    engine = engine_of(network)
    work = work_of(lines, padded, centre, 1)._replace(wanted=wanted)
    lower = engine.lower_bounds(work).lower
    assert torch.equal(lower.isneginf(), ~wanted)
    assert bool((lower <= centre)[wanted].all())
    everything = engine.lower_bounds(work_of(lines, padded, centre, 1)).lower
    assert torch.allclose(everything[:, 3:], torch.ones(2, 2).double(), atol=1e-9)
    nothing = engine.lower_bounds(work._replace(wanted=torch.zeros_like(wanted)))
    assert bool(nothing.lower.isneginf().all())


def test_one_row_of_one_piece_and_both_terms_of_one_output() -> None:
    network = random_network(4)
    lines = random_lines(4, (0.1,))
    twice = Rows(torch.tensor([[[1, 1]]]), torch.tensor([[[1.0, 0.5]]]).double(), torch.zeros(1, 1).double())
    once = Rows(torch.tensor([[[1, 0]]]), torch.tensor([[[1.5, 0.0]]]).double(), torch.zeros(1, 1).double())
    found = [float(bound(engine_of(network), network, lines, rows).lower) for rows in (twice, once)]
    assert found[0] == pytest.approx(found[1], abs=1e-5)
    least = float(1.5 * sampled(network, lines, 0, 500).values[list(network.graph.nodes)[-1].args[0].name][:, 1].min())
    assert found[0] <= least
    assert found[0] > least - 0.3 * (1 + abs(least))


def test_opposite_rows_get_the_bounds_that_they_would_alone() -> None:
    network = random_network(7)
    outputs, lines = outputs_of(network), random_lines(7, (0.1, 0.4))
    rows = coordinate_rows(outputs, 2)
    assert torch.equal(opposites(rows)[0, :4], torch.tensor([1, 0, 3, 2]))
    assert bool((opposites(output_rows(outputs, 2)) == -1).all())
    both = bound(engine_of(network), network, lines, rows).lower
    for first in (0, 1):
        own = Rows(*(part[:, first::2] for part in rows))
        alone = bound(engine_of(network), network, lines, own).lower
        assert torch.allclose(both[:, first::2], alone, atol=1e-5)
        assert bool((opposites(own) == -1).all())


def test_more_effort_never_loosens() -> None:
    for seed in SEEDS:
        network = random_network(seed)
        rows, lines = output_rows(outputs_of(network), 2), random_lines(seed, (0.1, 0.6))
        forward, default, everything = (
            bound(engine_of(network, effort=effort), network, lines, rows).lower
            for effort in (Effort(0.0, 0.0, symbols=0), Effort(8.0, 8.0, -torch.inf, symbols=0), EVERYTHING)
        )
        assert bool((default >= forward - 1e-9).all())
        assert bool((everything >= default - 1e-9).all())


def test_the_engine_says_what_it_did() -> None:
    network = random_network(5)
    lines = random_lines(5, (0.1, 0.6), dimension=2)
    found = bound(engine_of(network), network, lines, output_rows(outputs_of(network), 2), 2)
    assert found.split.shape == (2, 2)
    assert bool((found.split >= 0).all())
    assert bool((found.passes > 2).all())
    assert found.passes.dtype == found.lower.dtype == torch.float64


def test_crossing_values_are_counted() -> None:
    sketch = Sketch(0)
    network = sketch.finish(sketch.activation(sketch.image, Function.RELU))
    centre = torch.linspace(-1, 1, 40, dtype=torch.float64).reshape(1, *SHAPE)
    for width, expected in ((1e-9, 0), (0.1, 4), (2.0, 40)):
        slope = torch.full((1, 1, *SHAPE), width, dtype=torch.float64)
        engine = engine_of(network)
        (counts,) = engine.crossing_relus(Lines(slope, centre, slope, centre)).values()
        assert int(counts) == expected
        assert engine.relus == {"image": 40}


def test_learning_is_forgotten_between_queries() -> None:
    network = every_value(Sketch(0))
    rows = output_rows(4, 1)
    engine, narrow, wide = engine_of(network, effort=Effort()), random_lines(0, (0.01,)), random_lines(0, (2.0,))
    centre = centre_values(network, narrow, rows)
    works = [work_of(lines, rows, centre, 1, float(centre.min()) - 1) for lines in (narrow, wide, wide, narrow)]
    first = engine.lower_bounds(works[0])
    for work in works:
        engine.lower_bounds(work)
    engine.forget()
    again = engine.lower_bounds(works[0])
    assert torch.equal(first.lower, again.lower)
    assert torch.equal(first.passes, again.passes)


def test_a_piece_that_does_not_move_is_bounded() -> None:
    """A black picture under contrast: no slope at all, and more errors than are kept apart."""
    sketch = Sketch(1)
    value = sketch.activation(sketch.dense(sketch.image, 200), Function.SILU)
    network = sketch.finish(sketch.dense(value, 3))
    lines, rows = random_lines(1, (0.0, 0.0)), output_rows(3, 2)
    centre = centre_values(network, lines, rows)
    for shift in (-0.1, 0.1):
        work = work_of(lines, rows._replace(bias=rows.bias - centre[:1] + shift), 0 * centre + shift, 1, 0.0)
        proved = engine_of(network, effort=Effort()).lower_bounds(work).lower > 0
        assert bool(proved.all()) == (shift > 0)
        assert bool(proved.any()) == (shift > 0)


def test_ties_on_a_flat_picture_are_no_errors_to_keep_apart() -> None:
    network = one_operation("maximum over windows")
    flat = torch.full((1, *SHAPE), 0.3, dtype=torch.float64)
    slope = torch.full((1, 1, *SHAPE), 1e-3, dtype=torch.float64)
    lines = Lines(slope, flat, slope, flat)
    state = forward_state(network, lines, working=torch.float64, symbols=1000)
    assert max(given.slopes.shape[1] for given in state.enclosures.values()) < 20
    samples = sampled(network, lines, 0, 50)
    assert max(state_excess(state, 0, samples, cells_of(1)).values()) <= 0


def test_a_piece_with_too_many_errors_spoils_no_other() -> None:
    """Pieces alone or beside one whose activations nearly all cross end the same."""
    network = random_network(5)
    engine = engine_of(network, effort=replace(EVERYTHING, symbols=4, hopeless=2.0))
    lines = random_lines(5, (1e-7, 1e-7, 3.0, 1e-7))
    outputs = engine._bounder.plan.sizes[engine._bounder.plan.nodes[-1]]
    rows = output_rows(outputs, 4)
    work = work_of(lines, rows, centre_values(network, lines, rows), 1)
    bounds, passes = torch.full_like(work.centre, -torch.inf), torch.zeros(4, dtype=torch.float64)
    with torch.no_grad():
        engine._keep_apart(work, torch.arange(4), bounds, passes)
    assert torch.isfinite(bounds[[0, 1, 3]]).all()
    assert torch.isinf(bounds[2]).all()


@pytest.mark.parametrize(("seconds", "sizes"), [(0.0, []), (3.5, [1, 2, 1]), (math.inf, [1, 7])])
def test_keeping_errors_apart_ends_with_the_time(
    seconds: float, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second a piece: groups are as large as the time left lets them be."""
    network = random_network(5)
    engine, lines = engine_of(network, effort=replace(EVERYTHING, hopeless=2.0)), random_lines(5, (0.5,) * 8)
    rows = output_rows(outputs_of(network), 8)
    work = work_of(lines, rows, centre_values(network, lines, rows), 1)
    work = work._replace(threshold=work.centre.amin(dim=1) - 1e-12, seconds=seconds)
    clock, tried = [0.0], []

    def trying(work: Work, pieces: torch.Tensor, *rest: torch.Tensor) -> None:
        clock[0] += len(pieces)
        tried.append(len(pieces))

    monkeypatch.setattr(engine, "_try_symbols", trying)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    engine.lower_bounds(work)
    assert tried == sizes


@pytest.mark.parametrize(("closed", "expected"), [(-math.inf, [0]), (10.0, [0, 1])])
def test_errors_are_kept_apart_only_where_something_is_open(
    closed: float, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However wide the pieces were that it once closed: what is proved without is not bounded again."""
    network = random_network(5)
    engine, lines = engine_of(network, effort=Effort()), random_lines(5, (0.5, 0.5, 0.5))
    rows = output_rows(outputs_of(network), 3)
    work = work_of(lines, rows, centre_values(network, lines, rows), 1)
    loose = work.centre - engine.lower_bounds(work._replace(threshold=torch.full((3,), -1e9).double())).lower
    # The first is far from proved, the second close to it, the third proved.
    slack = torch.stack([1e-6 * loose[0].min(), 0.9 * loose[1].min(), 2 * loose[2].max()])
    work = work._replace(threshold=work.centre.amin(dim=1) - slack)
    monkeypatch.setattr(tightening, "carried_back", lambda batch, work, bounds: bounds)
    monkeypatch.setattr(tightening, "refine_all", lambda batch: False)
    engine._widths.closed[0], tried = closed, []
    monkeypatch.setattr(engine, "_try_symbols", lambda work, pieces, *rest: tried.extend(pieces.tolist()))
    engine.lower_bounds(work)
    assert sorted(tried) == expected


def test_refining_alone_may_prove_every_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nothing is left to carry back."""
    network = random_network(5)
    engine, lines = engine_of(network), random_lines(5, (0.5, 0.5))
    rows = output_rows(outputs_of(network), 2)
    centre = centre_values(network, lines, rows)
    work = work_of(lines, rows, centre, 1)
    far_below = work._replace(threshold=centre.amin(dim=1) - 1e-3)
    monkeypatch.setattr(tightening, "CLOSE", dict.fromkeys(Arithmetic, -1.0))
    monkeypatch.setattr(tightening, "refine_all", lambda batch: True)
    calls = []
    original = batch.Batch.bounds

    def proving_after_the_first(self: batch.Batch, rows: Rows) -> torch.Tensor:
        calls.append(rows)
        found = original(self, rows)
        return found if len(calls) == 1 else torch.full_like(found, 1e6)

    monkeypatch.setattr(batch.Batch, "bounds", proving_after_the_first)
    found = engine.lower_bounds(far_below)
    assert len(calls) == 2
    assert bool(far_below.proved(found.lower).all())


def test_pieces_much_wider_than_what_symbols_close_are_cut_as_their_bounds_say() -> None:
    network = every_value(Sketch(0))
    lines, rows = random_lines(0, (2.0,)), output_rows(4, 1)
    centre = centre_values(network, lines, rows)
    engine = engine_of(network, effort=Effort(symbols=0))
    work = work_of(lines, rows, centre, 1, float(centre.min()) - 1)
    extent = float(lines.lower_slope.abs().max())
    shares = []
    for closed in (0.9 * extent, 0.1 * extent, 1e-6 * extent):
        engine._widths.closed[0], engine._widths.left_open[0] = closed, 1.01 * closed
        share = engine.lower_bounds(work).share
        assert share is not None
        shares.append(float(share))
    # Parts twice as wide as what was closed: halves at most.
    assert shares[0] > shares[1] > shares[2]
    assert shares[0] == pytest.approx(2.0**-POWER)
