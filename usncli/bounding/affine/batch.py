"""A batch of pieces that has been through a forward pass, and what backward passes over it need."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from usncli.bounding.affine import backward
from usncli.bounding.affine.cells import make_cells
from usncli.bounding.affine.effort import Bounder
from usncli.bounding.affine.enclosure import Enclosure, flattened
from usncli.bounding.affine.forward import propagate
from usncli.bounding.affine.rounding import SUMMED
from usncli.bounding.rows import Rows
from usncli.perturbing import Lines


class Batch:
    """Pieces that have been through a forward pass.

    Args:
        bounder: the network.
        image: enclosure of its input over the pieces.
        dimension: of theta; the image's first directions.
        symbols: whether every error of an activation is kept apart.

    Attributes:
        bounder: the network.
        plan: its costs and stops.
        cells: of the pieces.
        symbols: whether every error of an activation is kept apart.
        state: what is known of every node.
        passes: ``(pieces,)``, work spent on each piece in passes of the network, float64, on the CPU.

    Raises:
        TooManyErrorsError: there are more errors than may be kept apart.
    """

    def __init__(self, bounder: Bounder, image: Enclosure, dimension: int, *, symbols: bool = False) -> None:
        self.bounder, self.plan = bounder, bounder.plan
        self.cells = make_cells(dimension, image.centre.device)
        self.symbols = symbols
        self._pieces: Tensor | None = None
        most = bounder.effort.symbols if symbols else 0
        self.state = propagate(bounder.network, image, replace(bounder.settings, symbols=most))
        count = len(image.centre)
        self.passes = torch.full((count,), 2 + 1 / count, dtype=torch.float64) + self._slopes_carried()

    def _slopes_carried(self) -> float:
        """Return what carrying the slopes cost a piece, in passes."""
        plan, total, before = self.plan, 0.0, 0.0
        for name in plan.nodes[1:]:
            kept = self.state.enclosures.get(name)
            directions = before if kept is None else float(kept.slopes.shape[1])
            total += directions * (plan.costs[name] - plan.costs[plan.nodes[plan.nodes.index(name) - 1]])
            before = directions
        return total / plan.whole

    def outputs(self) -> Enclosure:
        """Return the enclosure of the network's output."""
        return self.enclosure(self.plan.nodes[-1])

    def enclosure(self, name: str) -> Enclosure:
        """Return the enclosure of a node that is held."""
        given = self.state.enclosures[name]
        return given if self._pieces is None else given.take(self._pieces)

    def bounds(self, rows: Rows) -> Tensor:
        """Return lower bounds of rows by the forward pass alone, ``(pieces, rows)``."""
        return least(rows, self.outputs())

    def split(self, directions: int) -> Tensor:
        """Return, for each of theta's parameters, its mean share in the spread of undecided values."""
        result = self.passes.new_zeros(len(self.passes), directions).to(self.outputs().centre.device)
        if directions == 1:
            return result + 1
        for name in self.plan.read:
            given = self.state.enclosures[name]
            parts = given.slopes[:, :directions].abs() * undecided(*self.state.intervals[name]).unsqueeze(1)
            sums = flattened(parts, 2).sum(dim=2).double()
            result += sums / sums.sum(dim=1, keepdim=True).clamp(min=1e-300)
        return result

    def taken(self, pieces: Tensor) -> Batch:
        """Return some pieces; what is known of them is copied only where it is used."""
        if torch.equal(pieces, torch.arange(len(self.passes), device=pieces.device)):
            return self
        result = copy.copy(self)
        result._pieces = pieces if self._pieces is None else self._pieces[pieces]
        result.passes = self.passes[pieces.cpu()]
        return result

    def own(self) -> Batch:
        """Return these pieces with a state of their own, which may be changed."""
        result = copy.copy(self)
        every = torch.arange(len(self.passes), device=self.cells.centres.device)
        result.state, result._pieces = self.state.take(every if self._pieces is None else self._pieces), None
        return result

    def chunks(self, rows: Tensor, stop: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Cut rows ``(pieces, count)`` into parts whose coefficients fit into memory."""
        largest = max(self.plan.sizes[name] for name in self.plan.nodes[stop - 1 :])
        room = max(1, int(self.bounder.effort.memory / (largest * 24)))
        at_once = max(1, min(rows.shape[1], room))
        for pieces in torch.split(torch.arange(len(rows), device=rows.device), max(1, room // at_once)):
            for part in torch.split(rows[pieces], at_once, dim=1):
                yield pieces, part

    def carry(self, carried: backward.Pass, start: int, stop: int) -> None:
        """Advance a pass over the nodes at positions from ``start - 1`` down to ``stop``."""
        for position in range(start - 1, stop - 1, -1):
            self.carry_through(carried, self.plan.nodes[position])
        self.passes = self.passes + carried.constant.shape[1] * self.between(start, stop)

    def carry_through(self, carried: backward.Pass, name: str) -> None:
        """Advance a pass through one node; one at which nothing is pending changes nothing."""
        if name not in carried.pending:
            return
        step, magnitudes = self.state.steps[name], self.state.magnitudes
        if self._pieces is not None:
            step = step.take(self._pieces)
            magnitudes = {source: magnitudes[source][self._pieces] for source in step.sources if source in magnitudes}
        backward.advance(carried, name, step, magnitudes)

    def concretized(self, carried: backward.Pass) -> backward.Found:
        """Bound a pass's rows where it stands."""
        return backward.concretized(carried, {name: self.enclosure(name) for name in carried.pending})

    def between(self, start: int, stop: int) -> float:
        """Return what carrying a row from one position to another costs, in passes."""
        costs, nodes = self.plan.costs, self.plan.nodes
        return (costs[nodes[start - 1]] - costs[nodes[stop - 1]]) / self.plan.whole


def undecided(lower: Tensor, upper: Tensor) -> Tensor:
    """Say which values may lie on either side of 0; what is no number does."""
    return ~(lower >= 0) & ~(upper <= 0)


def least(rows: Rows, outputs: Enclosure) -> Tensor:
    """Return the least values ``(pieces, rows)`` that an enclosure of the outputs ``(pieces, outputs)`` allows."""
    slopes, radius = outputs.slopes.double(), outputs.radius.double()
    lines = Lines(slopes, outputs.centre - radius, slopes, outputs.centre + radius)
    size = rows.coefficients.abs().sum(dim=2) * outputs.magnitude().unsqueeze(1) + rows.bias.abs()
    return rows.minimum(lines) - SUMMED * 1e-3 * size
