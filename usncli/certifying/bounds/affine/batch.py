"""Bounding one batch of pieces: a forward pass, then, for what it leaves open, backward passes where they pay.

A backward pass of the rows suffers little from the growth of radii by |W|, but the intervals of deep activations do,
and with them their relaxations. So of pieces that come close the most doubtful values of layers are bounded again by
backward passes of their own, where they are few enough, and the layers after them once more.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, fx

from usncli.certifying.bounds.affine import backward
from usncli.certifying.bounds.affine.cells import make_cells
from usncli.certifying.bounds.affine.enclosure import Enclosure, flattened, length_of
from usncli.certifying.bounds.affine.forward import Settings, propagate, propagate_after
from usncli.certifying.bounds.affine.plan import Plan
from usncli.certifying.bounds.affine.rounding import CENTRE, SUMMED, UNDERFLOW, unit_roundoff
from usncli.certifying.bounds.engine import Work
from usncli.certifying.bounds.method import Arithmetic
from usncli.certifying.bounds.rows import Rows
from usncli.perturbing import Lines

GROUP = 8
"""Pieces whose rows are carried back at once."""
CLOSE = 0.45
"""Share of the looseness left by a row's backward pass that may stay, from which on refining layers is tried."""
DOUBT = 0.85
"""Share of what relaxing a layer's values loses that refining it goes for."""
TIGHTENING = 8.0
"""By what factor backward passes lower the looseness of a piece that they are worth, about."""


@dataclass(frozen=True)
class Effort:
    """How much work to spend; costs are in passes of the network a piece.

    Attributes:
        refining: on bounding one layer's values again by backward passes.
        rows: on backward passes of the rows.
        hopeless: pieces of which some row may keep only a smaller share of its looseness are not worked on further.
        memory: bytes that backward passes may hold.
        symbols: errors of activations that a forward pass may keep apart.
    """

    refining: float = 2.0
    rows: float = 8.0
    hopeless: float = 1 / 40
    memory: float = 1e9
    symbols: int = 96


@dataclass(frozen=True)
class Bounder:
    """A network ready to be bounded.

    Attributes:
        network: rewritten, in float64.
        plan: its costs and stops.
        arithmetic: whose result is bounded.
        effort: how much work to spend.
    """

    network: fx.GraphModule
    plan: Plan
    arithmetic: Arithmetic
    effort: Effort

    @property
    def settings(self) -> Settings:
        """How forward passes are run."""
        return Settings(self.plan.borders, self.plan.read, self.arithmetic)


class Batch:
    """Pieces that have been through a forward pass.

    Args:
        bounder: the network.
        image: enclosure of its input over the pieces.
        dimension: of theta; the image's first directions.
        symbols: whether every error of an activation is kept apart.

    Attributes:
        state: what is known of every node.
        passes: ``(pieces,)``, work spent on each piece in passes of the network, float64, on the CPU.

    Raises:
        TooManyErrorsError: there are more errors than may be kept apart.
    """

    def __init__(self, bounder: Bounder, image: Enclosure, dimension: int, *, symbols: bool = False) -> None:
        self._bounder, self._plan = bounder, bounder.plan
        self._cells = make_cells(dimension, image.centre.device)
        self._symbols = symbols
        self._pieces: Tensor | None = None
        most = bounder.effort.symbols if symbols else 0
        self.state = propagate(bounder.network, image, replace(bounder.settings, symbols=most))
        count = len(image.centre)
        self.passes = torch.full((count,), 2 + 1 / count, dtype=torch.float64) + self._slopes_carried()

    def _slopes_carried(self) -> float:
        """Return what carrying the slopes cost a piece, in passes."""
        plan, total, before = self._plan, 0.0, 0.0
        for name in plan.nodes[1:]:
            kept = self.state.enclosures.get(name)
            directions = before if kept is None else float(kept.slopes.shape[1])
            total += directions * (plan.costs[name] - plan.costs[plan.nodes[plan.nodes.index(name) - 1]])
            before = directions
        return total / plan.whole

    def outputs(self) -> Enclosure:
        """Return the enclosure of the network's output."""
        return self._enclosure(self._plan.nodes[-1])

    def _enclosure(self, name: str) -> Enclosure:
        given = self.state.enclosures[name]
        return given if self._pieces is None else given.take(self._pieces)

    def bounds(self, rows: Rows) -> Tensor:
        """Return lower bounds of rows by the forward pass alone, ``(pieces, rows)``."""
        return least(rows, self.outputs())

    def tighten(self, work: Work, bounds: Tensor) -> Tensor:
        """Return better bounds for the open rows of the pieces that seem worth it.

        The rows are carried back first. Pieces that come close have some layers refined, and their rows carried back
        again: that costs less than halves of the piece would.
        """
        for least_share, refine in ((self._bounder.effort.hopeless, False), (CLOSE, True)):
            need = _needed(work, bounds)
            pieces = ((need < 1) & (need > least_share)).nonzero().squeeze(1)
            if not len(pieces):
                continue
            some, part, better = self._taken(pieces), work.pieces(pieces), bounds[pieces]
            if refine:
                some = some._own()
                if self._symbols or not some._refine_all():
                    continue
                better = torch.fmax(better, some.bounds(part.rows))
            better = some._carried_back(part, better)
            self.passes = self.passes.index_put((pieces.cpu(),), some.passes)
            bounds = bounds.index_put((pieces,), better)
        return bounds

    def share(self, work: Work, bounds: Tensor) -> Tensor:
        """Return what share of the looseness may stay in narrower pieces, ``(pieces,)``: they will be tightened."""
        need = _needed(work, bounds)
        return torch.where(need > self._bounder.effort.hopeless, 0.0, need * TIGHTENING).clamp(0, 1)

    def split(self, directions: int) -> Tensor:
        """Return, for each of theta's parameters, its mean share in the spread of undecided values."""
        result = self.passes.new_zeros(len(self.passes), directions).to(self.outputs().centre.device)
        if directions == 1:
            return result + 1
        for name in self._plan.read:
            given = self.state.enclosures[name]
            parts = given.slopes[:, :directions].abs() * _undecided(*self.state.intervals[name]).unsqueeze(1)
            sums = flattened(parts, 2).sum(dim=2).double()
            result += sums / sums.sum(dim=1, keepdim=True).clamp(min=1e-300)
        return result

    def _taken(self, pieces: Tensor) -> Batch:
        """Return some pieces; what is known of them is copied only where it is used."""
        if torch.equal(pieces, torch.arange(len(self.passes), device=pieces.device)):
            return self
        result = copy.copy(self)
        result._pieces = pieces if self._pieces is None else self._pieces[pieces]
        result.passes = self.passes[pieces.cpu()]
        return result

    def _own(self) -> Batch:
        """Return these pieces with a state of their own, which may be changed."""
        result = copy.copy(self)
        every = torch.arange(len(self.passes), device=self._cells.centres.device)
        result.state, result._pieces = self.state.take(every if self._pieces is None else self._pieces), None
        return result

    def _refine_all(self) -> bool:
        """Refine every layer where that is affordable, from the image on; say if any was."""
        any_refined = False
        for name in self._plan.nodes:
            if name in self._plan.read and self._refine(name):
                propagate_after(self._bounder.network, name, self.state, self._bounder.settings)
                any_refined = True
        return any_refined

    def _refine(self, name: str) -> bool:
        """Bound the undecided values of a node again by backward passes from there, if they are few enough."""
        given = self.state.enclosures[name]
        lower, upper = (end.clone() for end in self.state.intervals[name])
        chosen = _most_doubtful(lower, upper)
        stop = self._reachable(name, chosen.shape[1])
        if not chosen.shape[1] or stop is None or not _loose(given, flattened(_undecided(lower, upper), 1)):
            return False
        shape = given.centre.shape[1:]
        for pieces, rows in self._chunks(chosen, stop):
            part = self._taken(pieces)
            one_hot = given.radius.new_zeros(*rows.shape, shape.numel()).scatter_(2, rows.unsqueeze(2), 1.0)
            carried = backward.start(name, one_hot.view(*rows.shape, *shape), self._cells)
            part._carry(carried, self._plan.nodes.index(name) + 1, stop)
            found = part._concretized(carried)
            self.passes = self.passes.index_put((pieces.cpu(),), part.passes)
            given = _replaced(given, found.enclosure, pieces, rows)
            at = (pieces.unsqueeze(1), rows)
            flattened(lower, 1)[at] = torch.fmax(flattened(lower, 1)[at], _below(found.lower, lower.dtype))
            flattened(upper, 1)[at] = torch.fmin(flattened(upper, 1)[at], -_below(-found.upper, upper.dtype))
        self.state.enclosures[name] = given
        self.state.intervals[name] = (lower, upper)
        self.state.refined.add(name)
        return True

    def _reachable(self, name: str, count: int) -> int | None:
        """Return the stop furthest back that passes of so many values may afford; None if they afford none."""
        budget = self._bounder.effort.refining * self._plan.whole
        stops = [stop for stop in self._plan.stops_before(name) if self._plan.cost(name, stop) * count <= budget]
        return stops[-1] if stops else None

    def _chunks(self, rows: Tensor, stop: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Cut rows ``(pieces, count)`` into parts whose coefficients fit into memory."""
        largest = max(self._plan.sizes[name] for name in self._plan.nodes[stop - 1 :])
        room = max(1, int(self._bounder.effort.memory / (largest * 24)))
        at_once = max(1, min(rows.shape[1], room))
        for pieces in torch.split(torch.arange(len(rows), device=rows.device), max(1, room // at_once)):
            for part in torch.split(rows[pieces], at_once, dim=1):
                yield pieces, part

    def _carry(self, carried: backward.Pass, start: int, stop: int) -> None:
        """Advance a pass over the nodes at positions from ``start - 1`` down to ``stop``."""
        for position in range(start - 1, stop - 1, -1):
            name = self._plan.nodes[position]
            if name in carried.pending:
                step, magnitudes = self.state.steps[name], self.state.magnitudes
                if self._pieces is not None:
                    step = step.take(self._pieces)
                    magnitudes = {
                        source: magnitudes[source][self._pieces] for source in step.sources if source in magnitudes
                    }
                backward.advance(carried, name, step, magnitudes)
        self.passes = self.passes + carried.constant.shape[1] * self._between(start, stop)

    def _concretized(self, carried: backward.Pass) -> backward.Found:
        return backward.concretized(carried, {name: self._enclosure(name) for name in carried.pending})

    def _between(self, start: int, stop: int) -> float:
        costs, nodes = self._plan.costs, self._plan.nodes
        return (costs[nodes[start - 1]] - costs[nodes[stop - 1]]) / self._plan.whole

    def _carried_back(self, work: Work, bounds: Tensor) -> Tensor:
        """Carry open rows back, ever further while some stay open and work may be spent."""
        twins = opposites(work.rows)
        still_open = work.wanted & ~work.proved(bounds)
        served = (
            still_open.gather(1, twins.clamp(min=0))
            & (twins >= 0)
            & (twins < torch.arange(twins.shape[1], device=twins.device))
        )
        carried = still_open & ~served
        for pieces, rows in self._groups_of_rows(carried):
            part = self._taken(pieces)
            least_of, most_of = part._rows_carried_back(work, pieces, rows, twins)
            self.passes = self.passes.index_put((pieces.cpu(),), part.passes)
            at = (pieces.unsqueeze(1), rows)
            bounds = bounds.index_put(at, torch.fmax(bounds[at], least_of))
            twin = twins[at]
            twin_bounds = torch.fmax(bounds[pieces.unsqueeze(1), twin.clamp(min=0)], most_of)
            own = bounds[at]
            at_twin = (pieces.unsqueeze(1), torch.where(twin >= 0, twin, rows))
            bounds = bounds.index_put(at_twin, torch.where(twin >= 0, twin_bounds, own))
        return bounds

    def _groups_of_rows(self, carried: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Group pieces by how many of their rows ``(pieces, rows)`` are carried, so that few are filled up in vain."""
        counts = carried.sum(dim=1)
        order = counts.argsort(stable=True)
        order = order[counts[order] > 0]
        # Refining may have proved every row: splitting nothing gives one group of no piece.
        for group in torch.split(order, GROUP) if len(order) else ():
            chosen = carried[group].to(torch.int8).argsort(dim=1, descending=True, stable=True)
            for pieces, rows in self._chunks(chosen[:, : int(counts[group].max())], 1):
                yield group[pieces], rows

    def _rows_carried_back(self, work: Work, pieces: Tensor, rows: Tensor, twins: Tensor) -> tuple[Tensor, Tensor]:
        """Bound rows ``(pieces, count)`` of these pieces, and with the same passes their opposites."""
        target = self._plan.nodes[-1]
        specification = work.rows.take(pieces, rows)
        at = (pieces.unsqueeze(1), rows)
        twin = twins[at]
        opposite = (pieces.unsqueeze(1), twin.clamp(min=0))
        exact = specification.dense(self._plan.sizes[target])
        coefficients = exact.to(self.outputs().radius.dtype)
        carried = backward.start(target, coefficients, self._cells)
        lost = 4 * unit_roundoff(coefficients.dtype) * exact.abs().sum(dim=2)
        carried.error += lost * self.outputs().magnitude().unsqueeze(1)
        threshold = work.threshold[pieces].unsqueeze(1)
        wanted, twin_wanted = work.wanted[at], work.wanted[opposite] & (twin >= 0)
        best = torch.full_like(carried.constant, -torch.inf)
        best_of_twin, bias, twin_bias = best.clone(), work.rows.bias[at], work.rows.bias[opposite]
        position, budget = len(self._plan.nodes), self._bounder.effort.rows
        for stop in self._plan.stops_before(target):
            budget -= rows.shape[1] * self._between(position, stop)
            if budget < 0:
                break
            self._carry(carried, position, stop)
            position = stop
            found = self._concretized(carried)
            best = torch.fmax(best, found.lower + bias - 8 * CENTRE * bias.abs())
            best_of_twin = torch.fmax(best_of_twin, twin_bias - found.upper - 8 * CENTRE * twin_bias.abs())
            if not bool((wanted & ~(best > threshold) | twin_wanted & ~(best_of_twin > threshold)).any()):
                break
        return best, best_of_twin


def _needed(work: Work, bounds: Tensor) -> Tensor:
    """Return what share of its looseness each piece's worst row may keep, ``(pieces,)``; 1 where all are proved."""
    still_open = work.wanted & ~work.proved(bounds)
    share = (work.centre - work.threshold.unsqueeze(1)) / (work.centre - bounds)
    share = torch.where(still_open, torch.nan_to_num(share, nan=0.0).clamp(max=1 - 1e-9), torch.ones_like(share))
    return share.amin(dim=1)


def opposites(rows: Rows) -> Tensor:
    """Return, for each row ``(pieces, rows)``, the row with opposite coefficients, -1 where there is none.

    One backward pass serves both. They are looked for only among rows of one output each, as keypoints have.
    """
    none = torch.full(rows.bias.shape, -1, dtype=torch.int64, device=rows.bias.device)
    if bool((rows.coefficients[..., 1] != 0).any()):
        return none
    index, coefficient = rows.indices[..., 0], rows.coefficients[..., 0]
    same = (index.unsqueeze(1) == index.unsqueeze(2)) & (coefficient.unsqueeze(1) == -coefficient.unsqueeze(2))
    same &= coefficient.unsqueeze(1) != 0
    return torch.where(same.any(dim=2), same.to(torch.int8).argmax(dim=2), none)


def _undecided(lower: Tensor, upper: Tensor) -> Tensor:
    return ~(lower >= 0) & ~(upper <= 0)


def _most_doubtful(lower: Tensor, upper: Tensor) -> Tensor:
    """Return the values whose relaxation as a ReLU loses most, ``(pieces, count)``: `DOUBT` of all that is lost."""
    loss = flattened(
        torch.where(_undecided(lower, upper), -lower * upper / (upper - lower), torch.zeros_like(lower)), 1
    )
    losses, order = torch.nan_to_num(loss, nan=0.0, posinf=0.0).sort(dim=1, descending=True, stable=True)
    before = losses.cumsum(dim=1) - losses
    count = int((before < DOUBT * losses.sum(dim=1, keepdim=True)).sum(dim=1).max())
    return order[:, :count]


def _loose(given: Enclosure, undecided: Tensor) -> bool:
    """Say whether the radius is much of the undecided values' spread."""
    radius = (flattened(given.radius, 1) * undecided).sum()
    return bool(radius > 0.3 * (flattened(given.spread(), 1) * undecided).sum())


def _replaced(given: Enclosure, new: Enclosure, pieces: Tensor, rows: Tensor) -> Enclosure:
    """Put enclosures of single values ``(pieces, rows)`` in their places, where they are narrower."""
    working, shape = given.radius.dtype, given.centre.shape[1:]
    at, directions = (pieces.unsqueeze(1), rows), given.slopes.shape[1]
    centre, radius = flattened(given.centre, 1), flattened(given.radius, 1)
    slopes = flattened(given.slopes, 2).transpose(1, 2)
    rounded = new.slopes.to(working)
    lost = (rounded.double() - new.slopes).abs().sum(dim=1)
    new_radius = ((new.radius + lost) * (1 + 4 * unit_roundoff(working))).to(working)
    better = new_radius + rounded.abs().sum(dim=1) < flattened(given.spread(), 1)[at]
    added = length_of(torch.where(better, new_radius, 0.0))
    length = None if given.length is None else given.length.index_add(0, pieces, added)
    rounded = torch.nn.functional.pad(rounded, [0, 0, 0, directions - rounded.shape[1]]).transpose(1, 2)
    centre = centre.index_put(at, torch.where(better, new.centre, centre[at]))
    radius = radius.index_put(at, torch.where(better, new_radius, radius[at]))
    slopes = slopes.index_put(at, torch.where(better.unsqueeze(2), rounded, slopes[at])).transpose(1, 2)
    return Enclosure(centre.view(-1, *shape), slopes.reshape(-1, directions, *shape), radius.view(-1, *shape), length)


def _below(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Return numbers of a dtype that are at most the values."""
    return (values - values.abs() * (4 * unit_roundoff(dtype))).to(dtype) - UNDERFLOW


def least(rows: Rows, outputs: Enclosure) -> Tensor:
    """Return the least values ``(pieces, rows)`` that an enclosure of the outputs ``(pieces, outputs)`` allows."""
    slopes, radius = outputs.slopes.double(), outputs.radius.double()
    lines = Lines(slopes, outputs.centre - radius, slopes, outputs.centre + radius)
    size = rows.coefficients.abs().sum(dim=2) * outputs.magnitude().unsqueeze(1) + rows.bias.abs()
    return rows.minimum(lines) - SUMMED * 1e-3 * size
