"""The hunt for counterexamples that goes along with branch and bound: what one finds guides the other."""

from __future__ import annotations

import torch

from usncli.certifying.branch_and_bound import Pieces
from usncli.certifying.falsify import FalsifyOptions, Seen, Target, Witness, descend, first_witness, search
from usncli.certifying.max_range import nearest_failure, target_scale
from usncli.certifying.scaling import ScaledRange
from usncli.perturbing import Boxes

CLOSER = 0.5
"""Gradient steps start from a piece's centre if its margin is below this share of the least margin met before."""


class Hunt:
    """What is known of counterexamples to one query.

    Args:
        target: what is to be falsified.
        region: the range.
        clean: the margin without perturbation, above 0.
        options: budget of gradient steps.
        nearest: whether to go on after a counterexample, for one nearer to the identity.

    Attributes:
        witness: a replayed counterexample: the first, or the nearest to the identity.
        least: the least margin that was met.
        passes: work done, in passes of the network.
    """

    def __init__(
        self, target: Target, region: ScaledRange, clean: float, options: FalsifyOptions, *, nearest: bool
    ) -> None:
        self.target, self.region, self.options, self.nearest = target, region, options, nearest
        self.witness: Witness | None = None
        self.least = self._clean = clean
        self.passes = 0.0

    @property
    def over(self) -> bool:
        """Whether the query is decided."""
        return self.witness is not None and not self.nearest

    @property
    def falsified_scale(self) -> float | None:
        """The scale of the witness; None without one."""
        return None if self.witness is None else self._scale(self.witness)

    @property
    def scale_to_certify(self) -> float:
        """The scale up to which the range is worth certifying."""
        scale = self.falsified_scale
        return 1.0 if scale is None else target_scale(scale)

    def begin(self) -> Seen:
        """Search the whole range; return what was seen."""
        seen = search(self.target, self._clean, self.options)
        self._take_in(seen)
        return seen

    def look(self, boxes: Boxes, margins: torch.Tensor) -> None:
        """Look at the centres of pieces that were bounded.

        Args:
            boxes: the pieces.
            margins: at their centres, ``(pieces,)``, as the bounded network has them.
        """
        centres, failing = boxes.centres(), ~(margins > 0)
        if bool(failing.any()):
            order = margins[failing].argsort(stable=True)
            witness, replays = first_witness(self.target, centres[failing][order], margins[failing][order])
            self._take_in(Seen(witness, centres[failing], margins[failing], replays))
            return
        worst = int(margins.argmin())
        if float(margins[worst]) < min(CLOSER * self.least, self.options.near * self._clean):
            self._descend(Boxes(boxes.lower[worst : worst + 1], boxes.upper[worst : worst + 1]))
        self.least = min(self.least, float(margins[worst]))

    def last_look(self, unproved: Pieces) -> None:
        """Take gradient steps from the most dangerous pieces that are left."""
        worst = unproved.margins.argsort(stable=True)[: self.options.starts]
        if len(worst):
            self._descend(Boxes(unproved.boxes.lower[worst], unproved.boxes.upper[worst]))

    def _descend(self, boxes: Boxes) -> None:
        length = (boxes.upper - boxes.lower) / 2
        self._take_in(descend(self.target, boxes.centres(), length, self.options.steps))

    def _take_in(self, seen: Seen) -> None:
        self.passes += seen.passes
        self.least = min([self.least, *seen.margins.tolist()])
        if seen.witness is None:
            return
        if not self.nearest:
            self.witness = seen.witness
            return
        witness, passes = nearest_failure(self.target, self.region, seen)
        self.passes += passes
        self.witness = min(filter(None, [self.witness, witness]), key=self._scale, default=None)

    def _scale(self, witness: Witness) -> float:
        return self.region.scale_of(torch.tensor(witness.theta, dtype=torch.float64))
