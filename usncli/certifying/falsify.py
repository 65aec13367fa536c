"""A search for real counterexamples: a coarse grid over theta, then gradient ascent where margins are small.

Nothing counts before it was replayed on the shipped network, alone in its batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from usncli.certifying.properties import Property
from usncli.loading.pipeline import Pipeline
from usncli.perturbing import Boxes, PerturbationRange

BATCH = 32
"""Perturbed images run at once."""
GRADIENT_PASSES = 3
"""What a gradient step costs, in passes of the network."""
SHORTENING = 0.6
"""Each gradient step is this much of the one before."""


@dataclass(frozen=True)
class FalsifyOptions:
    """Budget of the search.

    Attributes:
        grid_1d, grid_2d: grid points a parameter, for ranges of one and of two parameters; ends and centre included.
        starts: points from which gradient steps start.
        steps: gradient steps from each.
        near: gradient steps are taken only from points whose margin is below this share of the clean margin; what is
            further from failing is left to branch and bound, which looks at the centre of every piece.
    """

    grid_1d: int = 9
    grid_2d: int = 5
    starts: int = 3
    steps: int = 6
    near: float = 0.25


@dataclass(frozen=True)
class Witness:
    """A theta at which the shipped network fails.

    Attributes:
        theta: one number a parameter.
        margin: the shipped network's margin there, 0 or below.
    """

    theta: tuple[float, ...]
    margin: float


class Seen(NamedTuple):
    """What a search met.

    Attributes:
        witness: a replayed counterexample, if one was met.
        thetas: where the network was run, ``(points, dimension)``.
        margins: its margins there, in batches, ``(points,)``.
        passes: what it cost, in passes of the network.
    """

    witness: Witness | None
    thetas: Tensor
    margins: Tensor
    passes: float

    def near(self, boxes: Boxes) -> Tensor:
        """Return the margin of the point nearest to each piece's centre, ``(pieces,)``, float64."""
        span = self.thetas.amax(dim=0) - self.thetas.amin(dim=0)
        span = torch.where(span > 0, span, torch.ones_like(span))
        nearest = torch.cdist(boxes.centres() / span, self.thetas / span).argmin(dim=1)
        return self.margins[nearest].double()


@dataclass(frozen=True)
class Target:
    """What is to be falsified.

    Attributes:
        pipeline: the shipped network, in its own precision.
        image: ``(1, channels, height, width)``.
        region: the perturbation and its range.
        claim: the property.
    """

    pipeline: Pipeline
    image: Tensor
    region: PerturbationRange
    claim: Property

    def margins(self, theta: Tensor) -> Tensor:
        """Return the margins ``(samples,)`` at theta ``(samples, dimension)``, as one batch; differentiable."""
        images = self.region.perturbation.expand(self.image, theta.to(self.image))
        return self.claim.margins(self.pipeline(images))

    def margins_of_many(self, theta: Tensor) -> Tensor:
        """Return the margins ``(samples,)`` on the CPU, in batches that fit; no number counts as failing."""
        with torch.no_grad():
            margins = torch.cat([self.margins(part).cpu() for part in torch.split(theta, BATCH)])
        return margins.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)

    def margin(self, theta: Tensor) -> float:
        """Return the shipped network's margin at theta ``(dimension,)``, run on a batch of one."""
        with torch.no_grad():
            return float(self.margins(theta.unsqueeze(0))[0])

    def replay(self, theta: Tensor) -> Witness | None:
        """Run the shipped network on a batch of one; return a witness if it fails there.

        Args:
            theta: ``(dimension,)``, float64.
        """
        margin = self.margin(theta)
        return None if margin > 0 else Witness(tuple(theta.tolist()), margin)


def search(target: Target, clean: float, options: FalsifyOptions | None = None) -> Seen:
    """Look over a whole range for a theta at which the shipped network fails.

    Args:
        target: what is to be falsified.
        clean: the margin without perturbation, above 0.
        options: the budget.
    """
    options = options or FalsifyOptions()
    grid = grid_points(target.region, options)
    margins = target.margins_of_many(grid)
    worst = margins.argsort(stable=True)[: options.starts]
    witness, replays = first_witness(target, grid[worst], margins[worst])
    seen = Seen(witness, grid, margins, len(grid) + replays)
    starts = worst[margins[worst] < options.near * clean]
    if witness is not None or not len(starts):
        return seen
    lower, upper = target.region.corners()
    found = descend(target, grid[starts], (upper - lower) / 8, options.steps)
    return joined(seen, found)


def joined(first: Seen, second: Seen) -> Seen:
    """Return what two searches met together; the later one's witness counts."""
    return Seen(
        second.witness or first.witness,
        torch.cat([first.thetas, second.thetas]),
        torch.cat([first.margins, second.margins]),
        first.passes + second.passes,
    )


def grid_points(region: PerturbationRange, options: FalsifyOptions) -> Tensor:
    """Return the grid ``(points, dimension)``, float64: corners first, then the rest in order."""
    count = options.grid_1d if region.dimension == 1 else options.grid_2d
    axes = [torch.linspace(0, 1, count, dtype=torch.float64).tolist()] * region.dimension
    weights = sorted(itertools.product(*axes), key=lambda point: any(weight not in (0.0, 1.0) for weight in point))
    lower, upper = region.corners()
    points = lower + torch.tensor(weights, dtype=torch.float64) * (upper - lower)
    return points.clamp(lower, upper)


def first_witness(target: Target, thetas: Tensor, margins: Tensor) -> tuple[Witness | None, float]:
    """Replay candidates whose margin in a batch is 0 or below (or no number), in order, until one fails.

    Returns:
        The one that fails, or None, and the number of replays.
    """
    candidates = thetas[~(margins > 0)]
    for count, theta in enumerate(candidates, 1):
        witness = target.replay(theta)
        if witness is not None:
            return witness, float(count)
    return None, float(len(candidates))


def descend(target: Target, starts: Tensor, length: Tensor, steps: int) -> Seen:
    """Take signed gradient steps of shrinking length within the range, all starts as one batch.

    Args:
        target: what is to be falsified.
        starts: ``(starts, dimension)``.
        length: of the first step along each parameter, ``(dimension,)`` or one a start.
        steps: how many.

    Returns:
        The best theta and margin of each start, and the witness that they gave.
    """
    lower, upper = target.region.corners()
    theta, best, least = starts.clone(), starts.clone(), torch.full((len(starts),), torch.inf)
    for _ in range(steps):
        gradient, margins = _gradient(target.margins, theta)
        better = margins < least
        best = torch.where(better.unsqueeze(1), theta, best)
        least = torch.where(better, margins.to(least), least)
        theta = (theta - length * gradient.sign()).clamp(lower, upper)
        length = length * SHORTENING
    order = least.argsort(stable=True)
    witness, replays = first_witness(target, best[order], least[order])
    return Seen(witness, best, least, GRADIENT_PASSES * steps * len(starts) + replays)


def _gradient(function: Callable[[Tensor], Tensor], theta: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        variable = theta.clone().requires_grad_(True)
        margins = function(variable)
        (gradient,) = torch.autograd.grad(margins.sum(), variable)
    return gradient, margins.detach().cpu()
