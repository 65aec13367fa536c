"""What a plan holds for passes that begin again, and passes against numbers by hand."""

from __future__ import annotations

import torch
from containment import (
    EVERYTHING,
    backward_passes,
    bounder,
    cells_of,
    everything_kept,
    forward_state,
    refined_state,
    sampled,
    state_excess,
    tightened,
)
from containment import coordinate_rows as two_rows_an_output
from random_networks import SHAPE, Sketch, random_lines
from torch import Tensor, fx

from usncli.bounding.affine.cells import make_cells
from usncli.bounding.affine.enclosure import Enclosure, from_lines
from usncli.bounding.affine.plan import make_plan
from usncli.bounding.method import Arithmetic
from usncli.bounding.rewriting.activation import Function
from usncli.bounding.rewriting.linear_maps import Linear, ScaleShift
from usncli.perturbing import Lines


def beside() -> fx.GraphModule:
    """Two values of which one is refined, while the other, read before the first one's ReLU only, is read again."""
    sketch = Sketch(3)
    hidden = sketch.activation(sketch.dense(sketch.image, 6), Function.RELU)
    refined, other = sketch.dense(hidden, 6), sketch.dense(hidden, 6)
    parts = sketch.add(sketch.dense(refined, 6), sketch.dense(other, 6))
    joined = sketch.add(parts, sketch.activation(refined, Function.RELU))
    return sketch.finish(sketch.dense(sketch.activation(joined, Function.RELU), 3))


def test_what_is_read_beside_a_refined_value_is_held() -> None:
    network = beside()
    part = bounder(network, Arithmetic.REAL, EVERYTHING, SHAPE)
    lines = random_lines(3, (1.0, 0.2))
    state = refined_state(part, lines, 1, torch.float32)
    assert len(state.refined) == 3
    for piece in (0, 1):
        samples = sampled(network, lines, piece, 200)
        assert all(over <= 0 for over in state_excess(state, piece, samples, cells_of(1)).values())


def test_refining_narrows() -> None:
    network = beside()
    part = bounder(network, Arithmetic.REAL, EVERYTHING, SHAPE)
    lines = random_lines(3, (1.0,))
    plain = forward_state(network, lines)
    refined = refined_state(part, lines, 1, torch.float32)
    shares = []
    for name in refined.refined:
        (low, high), (old_low, old_high) = refined.intervals[name], plain.intervals[name]
        assert bool((low >= old_low - 1e-6).all())
        assert bool((high <= old_high + 1e-6).all())
        shares.append(float((high - low).sum() / (old_high - old_low).sum()))
    assert min(shares) < 0.9


def line(value: float, slope: float) -> Lines:
    """Return lines of one pixel that is ``value + slope t``."""
    at, along = torch.full((1, 1, 1, 1), value).double(), torch.full((1, 1, 1, 1, 1), slope).double()
    return Lines(along, at, along, at)


def one_pixel(*functions: Function) -> fx.GraphModule:
    sketch = Sketch(0, (1, 1, 1))
    value = sketch.image
    for function in functions:
        value = sketch.activation(value, function)
    return sketch.finish(value)


def output(network: fx.GraphModule, lines: Lines) -> Enclosure:
    state = forward_state(network, lines, working=torch.float64)
    return state.enclosures[list(state.enclosures)[-1]]


def close(values: Tensor, expected: float) -> bool:
    return torch.allclose(values, torch.full_like(values, expected), atol=1e-12)


def test_a_relu_by_hand() -> None:
    # Over [-1, 3] the chord has slope 3/4; the line 3/4 x + 3/8 is 3/8 from the ReLU at 0, and at both ends.
    given = output(one_pixel(Function.RELU), line(1.0, 2.0))
    assert close(given.centre, 9 / 8)
    assert close(given.slopes, 3 / 2)
    assert close(given.radius, 3 / 8)
    for value, slope, centre, tilt in ((2.0, 1.0, 2.0, 1.0), (-2.0, 1.0, 0.0, 0.0)):
        given = output(one_pixel(Function.RELU), line(value, slope))
        assert close(given.centre, centre)
        assert close(given.slopes, tilt)
        assert close(given.radius, 0.0)


def test_a_product_by_hand() -> None:
    # (1 + 2 t)(3 - t) = 3 + 5 t - 2 t^2: the last term is within 2 of 0.
    sketch = Sketch(0, (1, 1, 1))
    other = sketch.affine(sketch.image, ScaleShift(torch.tensor(-0.5).double(), torch.tensor(3.5).double()))
    given = output(sketch.finish(sketch.product(sketch.image, other)), line(1.0, 2.0))
    assert close(given.centre, 3.0)
    assert close(given.slopes, 5.0)
    assert close(given.radius, 2.0)
    # (1 + 2 t)^2 = 1 + 4 t + 4 t^2, and 4 t^2 is 2 give or take 2.
    sketch = Sketch(0, (1, 1, 1))
    given = output(sketch.finish(sketch.product(sketch.image, sketch.image)), line(1.0, 2.0))
    assert close(given.centre, 3.0)
    assert close(given.slopes, 4.0)
    assert close(given.radius, 2.0)


def test_a_maximum_by_hand() -> None:
    sketch = Sketch(0, (1, 1, 3))
    network = sketch.finish(sketch.maximum(sketch.select(sketch.image, lambda x: x.expand(-1, 1, 3, 3)), 3, 1, 0))
    centre = torch.tensor([1.0, 0.5, -4.0]).double().reshape(1, 1, 1, 3)
    slope = torch.tensor([0.0, 1.0, 1.0]).double().reshape(1, 1, 1, 1, 3)
    given = output(network, Lines(slope, centre, slope, centre))
    # max(1, 0.5 + t) = 1 + relu(t - 0.5), of which the argument lies in [-1.5, 0.5]; each entry comes three times, so
    # the rivals count as several: it is 1, and up to 0.5 more.
    assert close(given.centre, 1.25)
    assert close(given.slopes, 0.0)
    assert close(given.radius, 0.25)
    narrow = output(network, Lines(slope / 4, centre, slope / 4, centre))
    assert close(narrow.centre, 1.0)
    assert close(narrow.radius, 0.0)


def test_a_backward_pass_by_hand() -> None:
    # 2 relu(x) - relu(-x) over [-1, 1]: the lines are x / 2 and -x / 2, with errors e_1 and e_2 in [0, 1/2]. By cell
    # the pass knows that both are |x| / 2.
    sketch = Sketch(0, (1, 1, 1))
    both = sketch.affine(sketch.reshape(sketch.image, 1), Linear(torch.tensor([[1.0], [-1.0]]).double(), None))
    kinks = sketch.activation(both, Function.RELU)
    network = sketch.finish(sketch.affine(kinks, Linear(torch.tensor([[2.0, -1.0]]).double(), None)))
    lines = line(0.0, 1.0)
    state, plan = forward_state(network, lines, working=torch.float64), make_plan(network, lines.lower)
    row = torch.ones(1, 1, 1, dtype=torch.float64)
    found = dict(backward_passes(state, plan, plan.nodes[-1], row, cells_of(1)))
    # Forward: 3/2 t + 1/4, give or take 3/4.
    assert close(found[len(plan.nodes)].lower, -2.0)
    assert close(found[len(plan.nodes)].upper, 2.5)
    # In the lowest of eight cells, [-1, -3/4], both errors are in [3/8, 1/2]: 3/2 x + 2 e_1 - e_2 is at least
    # -3/2 + 3/4 - 1/2. In the highest it is at most 3/2 + 1 - 3/8.
    assert close(found[1].lower, -1.25)
    assert close(found[1].upper, 2.125)


def test_cells_cover_the_piece_and_each_value_in_them() -> None:
    for dimension, count in ((1, 8), (2, 16)):
        cells = make_cells(dimension, torch.device("cpu"))
        assert cells.centres.shape == (count, dimension)
        assert float(cells.centres.abs().max()) + cells.half == 1.0
        given = Enclosure(
            torch.zeros(1, 1).double(), torch.ones(1, dimension + 1, 1).double(), torch.full((1, 1), 0.5).double()
        )
        lower, upper = cells.intervals(given)
        # Theta's directions by cell, the other one and the radius everywhere.
        assert torch.allclose(upper - lower, torch.full_like(lower, 2 * (dimension * cells.half + 1.5)), atol=1e-12)
        assert float(lower.min()) == -float(upper.max())


def test_lines_that_are_not_parallel_become_radius() -> None:
    lower, upper = line(-1.0, 1.0), line(3.0, 2.0)
    given = from_lines(Lines(lower.lower_slope, lower.lower, upper.lower_slope, upper.lower), torch.float64)
    assert close(given.centre, 1.0)
    assert close(given.slopes, 1.5)
    assert close(given.radius, 2.5)


def test_borders_and_stops() -> None:
    network = beside()
    plan = make_plan(network, torch.zeros(1, *SHAPE).double())
    assert plan.stops == tuple(sorted(plan.stops, reverse=True))
    assert plan.stops[-1] == 1
    assert plan.stops_before(plan.nodes[0]) == []
    assert plan.cost(plan.nodes[-1], 1) == plan.whole - plan.costs[plan.nodes[0]]
    # Both values that the hidden layer feeds, and what every stop cuts through.
    assert {plan.nodes[0], *plan.read} <= plan.borders
    assert len(plan.borders) > len(plan.read) + 1
    assert everything_kept(plan).borders == set(plan.nodes)


def test_little_effort_leaves_the_forward_pass() -> None:
    network, lines = beside(), random_lines(3, (1.0,))
    rows = two_rows_an_output(3, 1)
    state = forward_state(network, lines)
    part = bounder(network, Arithmetic.REAL, EVERYTHING, SHAPE)
    lower, upper = (end[0].double() for end in state.enclosures[part.plan.nodes[-1]].interval())
    forward = torch.stack([lower, -upper], dim=1).flatten() + rows.bias[0]
    bounds = tightened(part, lines, rows, 1, torch.float32)[0]
    assert bool((bounds >= forward - 1e-5).all())
    assert float((bounds - forward).max()) > 0.05
