"""The bound engine on auto_LiRPA."""

from __future__ import annotations

import torch
from torch import Tensor, fx

from usncli.bounding.cuts import Cut, find_cuts
from usncli.bounding.engine import Bounded, Work
from usncli.bounding.lirpa.network import LirpaNetwork
from usncli.bounding.lirpa.parts import unoptimised
from usncli.bounding.method import Method
from usncli.bounding.rows import Rows
from usncli.perturbing import Lines

ENTIRE = {Method.CROWN, Method.CROWN_IBP}
"""Methods that leave no lines at inner layers: a backward pass has to reach the image."""
SPENDING = 4.0
"""How much a round of backward passes may cost, in forward passes over the same pieces."""
OWN_SHARE = 0.2
"""Share of the memory that lines and rows are counted to take; the rest is for what auto_LiRPA holds beside them."""
SYMBOLS = 64
"""Errors of ReLUs that a forward pass keeps apart where it keeps any."""
SYMBOLS_BELOW = 1 / 64
"""Keeping errors apart is tried where less than this share of a bound's looseness may stay.

Where more may, it is cheaper to halve the piece: looseness falls to about a quarter each time.
"""
LINE_TENSORS = 6
"""Tensors of a layer's size that a forward pass keeps for each layer and piece."""
MOST_PIECES = 32
"""Pieces in a batch beyond which nothing is gained."""
FIRST_GAIN = 0.03
"""Share of a forward bound's looseness that a backward pass leaves, until that is known."""


class LirpaEngine:
    """Bounds rows by auto_LiRPA; see `BoundEngine`.

    With ``forward+backward`` a forward pass gives lines for every layer, then, for the rows that it leaves open,
    backward passes start at the outputs and stop at the inner layer that a fixed share of the forward pass's cost
    pays for, where the forward lines take over. As rows close, the rest is carried further back.

    Args:
        network: a rewritten network; its dtype is the engine's.
        example: ``(1, channels, height, width)``.
        method: which of auto_LiRPA's methods.
        memory: bytes that it may take at once.
    """

    def __init__(
        self, network: fx.GraphModule, example: Tensor, method: Method = Method.FORWARD_BACKWARD, memory: float = 2e9
    ) -> None:
        self.dtype, self.device = example.dtype, example.device
        self._memory = OWN_SHARE * memory
        self.method = method
        with torch.no_grad():
            self.outputs = int(network(example[:1]).shape[1])
            self._cuts = find_cuts(network, example[:1])
            self._network = LirpaNetwork(network, example[:1])
            self.pieces_at_once = self._batch_size()
        self.relus = self._cuts[-1].relus
        self.forget()

    def forget(self) -> None:
        """Forget what earlier pieces taught about what pays, so that a query does not depend on the ones before."""
        self._gain = FIRST_GAIN
        self._symbol_extent = float("inf")

    def _batch_size(self) -> int:
        """Return how many pieces' lines through all layers fit into memory."""
        values = self._cuts[-1].values
        return int(max(1, min(MOST_PIECES, self._memory / (values * LINE_TENSORS * self.dtype.itemsize))))

    def lower_bounds(self, work: Work) -> Bounded:
        """Bound the wanted rows; see `BoundEngine.lower_bounds`.

        Where to cut is told from the images alone: along the parameter that moves their pixels more.
        """
        split = work.images.lower_slope.abs().flatten(2).sum(dim=2)
        self._spent = torch.zeros(len(split), dtype=torch.float64, device=self.device)
        with torch.no_grad(), unoptimised():
            return Bounded(self._lower_bounds(work), split, self._spent)

    def crossing_relus(self, images: Lines) -> dict[str, Tensor]:
        """Return how many ReLU inputs have bounds on both sides of 0; see `BoundEngine.crossing_relus`."""
        with torch.no_grad(), unoptimised():
            self._propagate(images)
        pieces = images.lower.shape[0]
        counts = dict.fromkeys(self.relus, torch.zeros(pieces, dtype=torch.int64, device=self.device))
        for relu, layer in self._cuts[-1].inside.items():
            bounds = self._network[relu].inputs[0]
            crossing = (bounds.lower < 0) & (bounds.upper > 0)
            counts[layer] = counts[layer] + crossing.reshape(pieces, -1).sum(dim=1)
        return counts

    def _lower_bounds(self, work: Work) -> Tensor:
        self._propagate(work.images)
        self._spent += self._forward_passes(work.images.lower_slope.shape[1])
        final = self._network.final_node()
        bounds = torch.full_like(work.centre, -torch.inf)
        if self.method == Method.IBP:
            nothing = torch.zeros_like(final.lower).unsqueeze(1)
            bounds = work.rows.minimum(Lines(nothing, final.lower, nothing, final.upper))
        elif self.method not in ENTIRE:
            bounds = work.rows.minimum(self._outputs())
        if self.method not in (Method.IBP, Method.FORWARD):
            bounds = self._tightened(work, bounds)
        if self.method == Method.FORWARD_BACKWARD:
            bounds = self._with_symbols(work, bounds)
        return torch.where(work.wanted, bounds, -torch.inf)

    def _with_symbols(self, work: Work, bounds: Tensor) -> Tensor:
        """Bound open pieces again with errors of ReLUs kept apart; all of them, if that closes the first.

        Where it did not, only pieces of at most half that one's extent are tried again.
        """
        still_open = (work.wanted & ~work.proved(bounds)).any(dim=1) & (work.proved(work.centre) | ~work.wanted).all(
            dim=1
        )
        extent = work.images.lower_slope.abs().flatten(1).amax(dim=1)
        loose = (self._needed(work, bounds) < SYMBOLS_BELOW).any(dim=1)
        pieces = (still_open & loose & (extent <= self._symbol_extent)).nonzero().squeeze(1)
        room = self._memory / (self._cuts[-1].values * (SYMBOLS + LINE_TENSORS) * self.dtype.itemsize)
        at_once = max(1, int(room))
        start = 0
        while start < len(pieces):
            some = pieces[start : start + (at_once if start else 1)]
            self._propagate(work.images.take(some), SYMBOLS)
            self._spent[some] += self._forward_passes(work.images.lower_slope.shape[1] + SYMBOLS)
            rows = Rows(*[part[some] for part in work.rows])
            better = torch.maximum(bounds[some], rows.minimum(self._outputs()))
            bounds = bounds.index_put((some,), better)
            if not start and not bool(((better > work.threshold[some].unsqueeze(1)) | ~work.wanted[some]).all()):
                # A little more than half, so that rounding does not shut out the piece's own halves.
                self._symbol_extent = 0.51 * float(extent[some[0]])
                break
            start += len(some)
        return bounds

    def _forward_passes(self, directions: int) -> float:
        """Return what a forward pass costs in plain ones: the lines' middle, their distance, and each direction."""
        return 2.0 if self.method == Method.IBP else 2.0 + directions

    def _outputs(self) -> Lines:
        linear = self._network.final_node().linear
        return Lines(linear.lw, linear.lb, linear.uw, linear.ub)

    def _propagate(self, images: Lines, symbols: int = 0) -> None:
        """Bound every layer over the pieces; the results stay on auto_LiRPA's nodes."""
        network = self._network
        network.place(images, symbols)
        pieces = images.lower.shape[0]
        if self.method == Method.IBP:
            network.compute_bounds(method="IBP")
            return
        # A specification without content: what is wanted are the layers' own bounds.
        nothing = torch.zeros(pieces, 1, self.outputs, dtype=self.dtype, device=self.device)
        method = "forward" if self.method == Method.FORWARD_BACKWARD else self.method.value
        network.compute_bounds(C=nothing, method=method, bound_upper=method == "forward")

    def _relu_bounds(self) -> dict[str, tuple[Tensor, Tensor]]:
        nodes = [self._network[name].inputs[0] for name in self._cuts[-1].inside]
        return {node.name: (node.lower, node.upper) for node in nodes}

    def _tightened(self, work: Work, bounds: Tensor) -> Tensor:
        """Carry open rows back, ever further as they become fewer."""
        relu_bounds = self._relu_bounds()
        entire = self.method in ENTIRE
        budget = SPENDING * 3 * self._cuts[-1].cost * len(work.centre)
        last = -1
        while True:
            open_rows = work.wanted & ~work.proved(bounds) & self._worthwhile(work, bounds, entire=entire)
            pieces = open_rows.any(dim=1).nonzero().squeeze(1)
            if not len(pieces):
                return bounds
            count = int(open_rows.sum(dim=1).max())
            position = len(self._cuts) - 1 if entire else self._affordable(budget / (2 * count * len(pieces)))
            if position <= last:
                return bounds
            last = position
            chosen = open_rows[pieces].to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :count]
            new = self._backward(self._cuts[position], relu_bounds, work, pieces, chosen)
            self._spent[pieces] += count * self._cuts[position].cost / self._cuts[-1].cost
            old = bounds[pieces].gather(1, chosen)
            self._learn(work.centre[pieces].gather(1, chosen), old, new)
            bounds = bounds.index_put((pieces.unsqueeze(1), chosen), torch.maximum(old, new))

    def _affordable(self, cost: float) -> int:
        """Return the deepest cut that costs no more; at least the first."""
        affordable = [index for index, cut in enumerate(self._cuts) if cut.cost <= cost]
        return max(affordable, default=0)

    def _worthwhile(self, work: Work, bounds: Tensor, *, entire: bool) -> Tensor:
        """Say for which pieces ``(pieces, 1)`` a backward pass may close all rows; the others are better split."""
        if entire:
            return torch.ones(len(bounds), 1, dtype=torch.bool, device=bounds.device)
        return ~(self._needed(work, bounds) <= self._gain / 3).any(dim=1, keepdim=True)

    def _needed(self, work: Work, bounds: Tensor) -> Tensor:
        """Return what share of a row's looseness may stay if the row is to close, ``(pieces, rows)``; 1 if closed."""
        share = (work.centre - work.threshold.unsqueeze(1)) / (work.centre - bounds).clamp(min=1e-300)
        share = torch.where(torch.isnan(share), torch.zeros_like(share), share)
        return torch.where(work.wanted & ~work.proved(bounds), share, torch.ones_like(share))

    def _learn(self, centre: Tensor, old: Tensor, new: Tensor) -> None:
        """Remember how much of the looseness backward passes leave, over all rows so far, recent ones foremost."""
        ratio = ((centre - new) / (centre - old).clamp(min=1e-300)).clamp(0, 1)
        ratio = ratio[torch.isfinite(ratio)]
        if len(ratio):
            self._gain = 0.7 * self._gain + 0.3 * float(ratio.mean())

    def _backward(
        self, cut: Cut, relu_bounds: dict[str, tuple[Tensor, Tensor]], work: Work, pieces: Tensor, rows: Tensor
    ) -> Tensor:
        """Bound rows ``(selected, count)`` of some pieces by a backward pass from the outputs to a cut."""
        room = max(1, int(self._memory / (cut.held * self.dtype.itemsize)))
        rows_at_once = min(rows.shape[1], room)
        pieces_at_once = max(1, room // rows_at_once)
        result = torch.empty_like(rows, dtype=self.dtype)
        lines = {name: self._lines(name, work.images) for name in cut.names}
        for start in range(0, len(pieces), pieces_at_once):
            some = pieces[start : start + pieces_at_once]
            bounds = {name: (lower[some], upper[some]) for name, (lower, upper) in relu_bounds.items()}
            roots = {name: value.take(some) for name, value in lines.items()}
            for first in range(0, rows.shape[1], rows_at_once):
                part = rows[start : start + pieces_at_once, first : first + rows_at_once]
                specification = work.rows.take(some, part)
                least = self._network.backward_to(roots, bounds, specification.dense(self.outputs))
                result[start : start + pieces_at_once, first : first + rows_at_once] = least + specification.bias
        return result

    def _lines(self, name: str, images: Lines) -> Lines:
        node = self._network[name]
        if name == self._network.image_name:
            return images
        linear = node.linear
        return Lines(linear.lw, linear.lb, linear.uw, linear.ub)
