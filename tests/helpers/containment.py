"""Samples of the pieces of a network's input, and whether what the engine says of every node contains them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from unittest import mock

import torch
from random_networks import SHAPE, random_lines
from torch import Tensor, fx

from usncli.bounding.affine import backward, refining, tightening
from usncli.bounding.affine.batch import Batch
from usncli.bounding.affine.cells import Cells, make_cells
from usncli.bounding.affine.effort import Bounder, Effort
from usncli.bounding.affine.enclosure import Enclosure, from_lines
from usncli.bounding.affine.forward import Settings, propagate
from usncli.bounding.affine.plan import Plan, make_plan
from usncli.bounding.affine.state import State
from usncli.bounding.affine.steps import ReluStep
from usncli.bounding.engine import Work
from usncli.bounding.method import Arithmetic
from usncli.bounding.rows import Rows
from usncli.perturbing import Lines

EVALUATION = 1e-11
"""What evaluating a small network in float64 may be off by, relative to 1 + the values of a node."""
EVERYTHING = Effort(1e9, 1e9, -torch.inf)
"""All backward passes, however dear and hopeless."""


@dataclass(frozen=True)
class Samples:
    """Points of one piece and what every node is there.

    Attributes:
        t: ``(samples, directions)``, in [-1, 1].
        values: of every node, by name, ``(samples, *shape)``.
    """

    t: Tensor
    values: Mapping[str, Tensor]


def directions(count: int, number: int, generator: torch.Generator) -> Tensor:
    """Return t ``(count, number)`` in [-1, 1]: corners, the middle, and points at random."""
    t = 2 * torch.rand(count, number, generator=generator, dtype=torch.float64) - 1
    corners = 2 * torch.randint(2, (count // 4, number), generator=generator).double() - 1
    t[: len(corners)] = corners
    t[-1] = 0.0
    return t


def images(lines: Lines, piece: int, t: Tensor, generator: torch.Generator) -> Tensor:
    """Return an image between the lines for each t, on one of them at many pixels.

    Args:
        lines: of pieces.
        piece: which.
        t: ``(samples, directions)``.
        generator: of where between the lines.
    """
    lower, upper = (
        offset[piece] + torch.einsum("nd,d...->n...", t, slope[piece])
        for slope, offset in ((lines.lower_slope, lines.lower), (lines.upper_slope, lines.upper))
    )
    share = 1.5 * torch.rand(lower.shape, generator=generator, dtype=torch.float64) - 0.25
    return lower + (upper - lower) * share.clamp(0, 1)


def evaluated(network: fx.GraphModule, values: Tensor) -> dict[str, Tensor]:
    """Return every node's value, by name."""
    interpreter = fx.Interpreter(network, garbage_collect_values=False)
    with torch.no_grad():
        interpreter.run(values)
    return {node.name: value for node, value in interpreter.env.items() if node.op != "output"}


def sampled(network: fx.GraphModule, lines: Lines, piece: int, count: int) -> Samples:
    generator = torch.Generator().manual_seed(11 + piece)
    t = directions(count, lines.lower_slope.shape[1], generator)
    return Samples(t, evaluated(network, images(lines, piece, t, generator)))


def tolerance(values: Tensor) -> Tensor:
    return EVALUATION * (1 + values.abs().amax())


def excess(given: Enclosure, piece: int, t: Tensor, values: Tensor) -> float:
    """Return how far values ``(samples, *shape)`` are outside an enclosure, at the t they belong to; -1 for no number.

    Directions beyond t are anywhere in [-1, 1].
    """
    slopes, known = given.slopes[piece].double(), min(t.shape[1], given.slopes.shape[1])
    line = given.centre[piece] + torch.einsum("nd,d...->n...", t[:, :known], slopes[:known])
    room = given.radius[piece].double() + slopes[known:].abs().sum(dim=0)
    over = torch.nan_to_num((values - line).abs() - room - tolerance(values), nan=-1.0, posinf=1e300)
    return float(over.max()) if over.numel() else -1.0


def length_excess(given: Enclosure, piece: int, t: Tensor, values: Tensor) -> float:
    """Return how much longer the errors of values ``(samples, *shape)`` are than an enclosure says; -1 for no number.

    Where directions beyond t are anywhere, nothing is known of a value's own error.
    """
    slopes = given.slopes[piece].double()
    if bool((slopes[t.shape[1] :] != 0).any()):
        return -1.0
    known = min(t.shape[1], len(slopes))
    line = given.centre[piece] + torch.einsum("nd,d...->n...", t[:, :known], slopes[:known])
    longest = (values - line).flatten(1).norm(dim=1)
    room = given.error_length()[piece] + tolerance(values) * values[0].numel() ** 0.5
    return float(torch.nan_to_num(longest - room, nan=-1.0, posinf=1e300).max())


def interval_excess(lower: Tensor, upper: Tensor, values: Tensor) -> float:
    """Return how far values ``(samples, *shape)`` are outside [lower, upper]; -1 for no number."""
    over = torch.maximum(values - upper.double(), lower.double() - values) - tolerance(values)
    return float(torch.nan_to_num(over, nan=-1.0, posinf=1e300).max())


def cell_of(cells: Cells, t: Tensor) -> Tensor:
    """Return the number of the cell that each t ``(samples, directions)`` lies in."""
    apart = (t[:, None, : cells.centres.shape[1]] - cells.centres).abs().amax(dim=2)
    return apart.argmin(dim=1)


def bounder(network: fx.GraphModule, arithmetic: Arithmetic, effort: Effort, shape: Sequence[int]) -> Bounder:
    return Bounder(network, make_plan(network, torch.zeros(1, *shape).double()), arithmetic, effort)


def everything_kept(plan: Plan) -> Plan:
    """Return the plan with every node's enclosure held, so that backward passes may stop anywhere."""
    return replace(plan, borders=frozenset(plan.nodes))


def forward_state(
    network: fx.GraphModule,
    lines: Lines,
    *,
    arithmetic: Arithmetic = Arithmetic.REAL,
    working: torch.dtype = torch.float32,
    symbols: int = 0,
) -> State:
    """Return the state of a forward pass that holds every node."""
    names = [node.name for node in network.graph.nodes]
    with torch.no_grad():
        return propagate(network, from_lines(lines, working), Settings(names, names, arithmetic, symbols))


def state_excess(state: State, piece: int, samples: Samples, cells: Cells) -> dict[str, float]:
    """Return how far samples are outside what a state says of each node, by what says it."""
    found = {}
    for name, enclosure in state.enclosures.items():
        found[f"enclosure of {name}"] = excess(enclosure, piece, samples.t, samples.values[name])
        found[f"error of {name}"] = length_excess(enclosure, piece, samples.t, samples.values[name])
    for name, (lower, upper) in state.intervals.items():
        found[f"interval of {name}"] = interval_excess(lower[piece], upper[piece], samples.values[name])
    for name, largest in state.largest.items():
        values = samples.values[name]
        own = largest[min(piece, len(largest) - 1)]
        found[f"largest of {name}"] = interval_excess(-own, own, values)
    for name, magnitude in state.magnitudes.items():
        values = samples.values[name]
        found[f"magnitude of {name}"] = float(values.abs().amax() - magnitude[piece] - tolerance(values))
    for name, step in state.steps.items():
        if isinstance(step, ReluStep):
            found[f"cells of {name}"] = _cells_excess(step, piece, samples, cells, name)
    return found


def _cells_excess(step: ReluStep, piece: int, samples: Samples, cells: Cells, name: str) -> float:
    """Return how far a ReLU's error is outside what is known of it by cell."""
    where, least, most = step.errors(cells)
    if not len(where):
        return -1.0
    x, y = (samples.values[key].flatten(1)[:, where] for key in (step.sources[0], name))
    error = y - step.slopes[0][piece].flatten()[where].double() * x
    at = cell_of(cells, samples.t)
    return max(
        interval_excess(least[piece, :, cell], most[piece, :, cell], error[at == cell])
        for cell in range(len(cells.centres))
        if bool((at == cell).any())
    )


def row_coefficients(count: int, shape: Sequence[int], pieces: int, seed: int = 0) -> Tensor:
    """Return rows ``(pieces, count, *shape)``: single values, all, and at random."""
    size = torch.Size(shape).numel()
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(count, size, generator=generator, dtype=torch.float64)
    rows[0], rows[0, seed % size] = 0.0, -1.0
    if count > 1:
        rows[1] = 1.0
    return rows.reshape(1, count, *shape).expand(pieces, count, *shape)


def backward_passes(
    state: State, plan: Plan, target: str, coefficients: Tensor, cells: Cells
) -> Iterator[tuple[int, backward.Found]]:
    """Carry rows of a node back and yield what is known of them at every stop, just before each node.

    Args:
        state: with the enclosure of every node.
        plan: of the network.
        target: the node.
        coefficients: ``(pieces, rows, *shape)``.
        cells: of the pieces.
    """
    carried = backward.start(target, coefficients, cells)
    position = plan.nodes.index(target) + 1
    yield position, backward.concretized(carried, state.enclosures)
    for stop in range(position - 1, 0, -1):
        backward.advance(carried, plan.nodes[stop], state.steps[plan.nodes[stop]], state.magnitudes)
        yield stop, backward.concretized(carried, state.enclosures)


def found_excess(found: backward.Found, piece: int, t: Tensor, values: Tensor) -> float:
    """Return how far values of rows ``(samples, rows)`` are outside what a backward pass found."""
    inside = interval_excess(found.lower[piece], found.upper[piece], values)
    return max(inside, excess(found.enclosure, piece, t, values))


def backward_excess(
    state: State, plan: Plan, target: str, everyones: Sequence[Samples], cells: Cells, rows: int = 3
) -> dict[str, float]:
    """Return how far samples of all pieces are outside backward passes from a node, by where these stopped."""
    shape, working = state.enclosures[target].centre.shape[1:], state.enclosures[target].radius.dtype
    coefficients = row_coefficients(rows, shape, len(everyones), len(target)).to(working)
    result = {}
    for stop, found in backward_passes(state, plan, target, coefficients, cells):
        over = []
        for piece, samples in enumerate(everyones):
            values = samples.values[target].flatten(1) @ coefficients[piece].flatten(1).double().T
            over.append(found_excess(found, piece, samples.t, values))
        result[f"rows of {target} before {stop}"] = max(over)
    return result


def output_rows(outputs: int, pieces: int, count: int = 5, seed: int = 1) -> Rows:
    """Return rows of the outputs: of two at random, of one, and opposites of one another."""
    generator = torch.Generator().manual_seed(seed)
    indices = torch.randint(outputs, (1, count, 2), generator=generator)
    coefficients = torch.randn(1, count, 2, generator=generator, dtype=torch.float64)
    bias = torch.randn(1, count, generator=generator, dtype=torch.float64)
    parts = (part.expand(pieces, *part.shape[1:]) for part in (indices, coefficients, bias))
    return Rows(*parts)


def coordinate_rows(outputs: int, pieces: int) -> Rows:
    """Return two rows an output, one above and one below, as keypoints have."""
    indices = torch.arange(outputs).repeat_interleave(2).reshape(1, -1, 1).expand(pieces, -1, 2)
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(outputs)
    coefficients = torch.stack([signs, torch.zeros_like(signs)], dim=1).expand(pieces, -1, 2)
    return Rows(indices, coefficients, torch.full((pieces, 2 * outputs), 0.5, dtype=torch.float64))


def work_of(lines: Lines, rows: Rows, centre: Tensor, dimension: int, threshold: float = 1e9) -> Work:
    """Return work that wants every row; no row exceeds the threshold unless it is lowered."""
    wanted = torch.ones_like(centre, dtype=torch.bool)
    return Work(lines, rows, wanted, centre, centre.new_full((len(centre),), threshold), dimension)


def centre_values(network: fx.GraphModule, lines: Lines, rows: Rows) -> Tensor:
    with torch.no_grad():
        return rows.values(network((lines.lower + lines.upper) / 2))


def rows_excess(lower: Tensor, rows: Rows, output: str, everyones: Sequence[Samples]) -> float:
    """Return how far lower bounds ``(pieces, rows)`` are above the rows' values at samples of the outputs."""
    over = []
    for piece, samples in enumerate(everyones):
        outputs = samples.values[output]
        own = Rows(*(part[piece : piece + 1].expand(len(outputs), *part.shape[1:]) for part in rows))
        values = own.values(outputs)
        over.append(interval_excess(lower[piece], torch.full_like(lower[piece], torch.inf), values))
    return max(over)


@contextmanager
def refining_always() -> Iterator[None]:
    """Have layers refined whether that seems to pay or not."""
    seeming_loose = mock.patch.object(refining, "_loose", return_value=True)
    with mock.patch.object(tightening, "CLOSE", dict.fromkeys(Arithmetic, -torch.inf)), seeming_loose:
        yield


def tightened(
    part: Bounder, lines: Lines, rows: Rows, dimension: int, working: torch.dtype, symbols: bool = False
) -> Tensor:
    """Return the rows' bounds after all passes."""
    with torch.no_grad(), refining_always():
        pieces = Batch(part, from_lines(lines, working), dimension, symbols=symbols)
        work = work_of(lines, rows, centre_values(part.network, lines, rows), dimension)
        return tightening.tighten(pieces, work, pieces.bounds(rows))


def refined_state(part: Bounder, lines: Lines, dimension: int, working: torch.dtype) -> State:
    """Return the state once every layer was refined."""
    with torch.no_grad(), refining_always():
        pieces = Batch(part, from_lines(lines, working), dimension)
        refining.refine_all(pieces)
        return pieces.state


def cells_of(dimension: int) -> Cells:
    return make_cells(dimension, torch.device("cpu"))


@dataclass(frozen=True)
class Setting:
    """Pieces of an image's lines, and how the engine bounds over them.

    Attributes:
        seed: of the image.
        widths: of the pieces.
        dimension, errors, slack, tilt: see `random_networks.random_lines`.
        working: the engine's working precision.
        symbols: whether errors are kept apart.
        effort: of the engine.
    """

    seed: int
    widths: tuple[float, ...]
    dimension: int = 1
    errors: int = 0
    slack: float = 0.0
    tilt: float = 0.0
    working: torch.dtype = torch.float32
    symbols: bool = False
    effort: Effort = EVERYTHING

    @property
    def lines(self) -> Lines:
        parts = {"dimension": self.dimension, "errors": self.errors, "slack": self.slack, "tilt": self.tilt}
        return random_lines(self.seed, self.widths, **parts)


def drawn_setting(seed: int) -> Setting:
    """Return a setting that differs from seed to seed in everything."""
    draw = random.Random(seed)
    symbols = draw.random() < 0.3
    efforts = (
        Effort(0.0, 0.0, -torch.inf, symbols=3000),
        replace(EVERYTHING, symbols=3000),
        Effort(3.0, 4.0, -torch.inf, symbols=3000),
        # So little memory that rows are bounded a few at a time.
        Effort(1e9, 0.0, -torch.inf, 2e4, symbols=3000),
    )
    return Setting(
        seed,
        draw.choice(((0.0, 1e-7, 0.05), (0.3, 1.0), (0.01, 5.0))),
        draw.choice((1, 1, 2)),
        draw.choice((0, 0, 1, 3)),
        draw.choice((0.0, 0.0, 1e-3)),
        draw.choice((0.0, 0.0, 0.1)),
        torch.float64 if symbols or draw.random() < 0.3 else torch.float32,
        symbols,
        draw.choice(efforts),
    )


def violations(network: fx.GraphModule, setting: Setting, count: int, targets: int = 1) -> dict[str, float]:
    """Return by how much samples are outside whatever the engine says of a network; empty if it is right.

    Forward passes with and without symbols, refined layers, backward passes from the output and from what activations
    read to every node before, and the bounds of rows by the setting's effort.

    Args:
        network: a rewritten one.
        setting: its pieces, and the engine's ways.
        count: samples of each piece.
        targets: how many of the nodes that activations read backward passes start from.
    """
    lines, cells = setting.lines, cells_of(setting.dimension)
    everyones = [sampled(network, lines, piece, count) for piece in range(len(setting.widths))]
    part = bounder(network, Arithmetic.REAL, setting.effort, SHAPE)
    plan, output = part.plan, part.plan.nodes[-1]
    most = part.effort.symbols if setting.symbols else 0
    held = replace(part, plan=everything_kept(plan))
    states = {
        "forward": forward_state(network, lines, working=setting.working, symbols=most),
        "refined": refined_state(held, lines, setting.dimension, setting.working),
    }
    found = {}
    for kind, state in states.items():
        for piece, samples in enumerate(everyones):
            for name, over in state_excess(state, piece, samples, cells).items():
                found[f"{kind}: {name} in piece {piece}"] = over
        for target in (output, *sorted(plan.read.keys() - {output})[:targets]):
            for name, over in backward_excess(state, plan, target, everyones, cells).items():
                found[f"{kind}: {name}"] = over
    for rows in (output_rows(plan.sizes[output], len(everyones)), coordinate_rows(plan.sizes[output], len(everyones))):
        bounds = tightened(part, lines, rows, setting.dimension, setting.working, setting.symbols)
        found[f"bounds of {rows.bias.shape[1]} rows"] = rows_excess(bounds, rows, output, everyones)
    return {name: over for name, over in found.items() if over > 0}
