"""A search for real counterexamples: a grid over theta, then gradient ascent from its worst points, each replayed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from usncli.certifying.properties import Property
from usncli.loading.pipeline import Pipeline
from usncli.perturbing import PerturbationRange

BATCH = 32
"""Perturbed images run at once."""


@dataclass(frozen=True)
class FalsifyOptions:
    """Budget of the search.

    Attributes:
        grid_1d, grid_2d: grid points a parameter, for ranges of one and of two parameters; ends and centre included.
        starts: grid points from which gradient steps start.
        steps: gradient steps from each.
    """

    grid_1d: int = 33
    grid_2d: int = 9
    starts: int = 4
    steps: int = 8


@dataclass(frozen=True)
class Witness:
    """A theta at which the shipped network fails.

    Attributes:
        theta: one number a parameter.
        margin: the shipped network's margin there, 0 or below.
    """

    theta: tuple[float, ...]
    margin: float


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


def search(target: Target, options: FalsifyOptions | None = None) -> tuple[Witness | None, float]:
    """Look for a theta at which the shipped network fails.

    Returns:
        A replayed witness or None, and the least margin that was seen.
    """
    options = options or FalsifyOptions()
    grid = grid_points(target.region, options)
    with torch.no_grad():
        margins = torch.cat([target.margins(part) for part in torch.split(grid, BATCH)])
    worst = margins.argsort()[: options.starts]
    witness = _first_witness(target, grid[worst], margins[worst])
    if witness is not None:
        return witness, witness.margin
    thetas, values = _descend(target, grid[worst], options.steps)
    order = values.argsort()
    least = min(float(margins[worst[0]]), float(values[order[0]]))
    return _first_witness(target, thetas[order], values[order]), least


def grid_points(region: PerturbationRange, options: FalsifyOptions) -> Tensor:
    """Return the grid ``(points, dimension)``, float64: corners first, then the rest in order."""
    count = options.grid_1d if region.dimension == 1 else options.grid_2d
    axes = [torch.linspace(0, 1, count, dtype=torch.float64).tolist()] * region.dimension
    weights = sorted(itertools.product(*axes), key=lambda point: any(weight not in (0.0, 1.0) for weight in point))
    lower, upper = region.corners()
    points = lower + torch.tensor(weights, dtype=torch.float64) * (upper - lower)
    return points.clamp(lower, upper)


def _first_witness(target: Target, thetas: Tensor, margins: Tensor) -> Witness | None:
    """Replay candidates whose margin in a batch is 0 or below (or no number), worst first."""
    for theta, margin in zip(thetas, margins, strict=True):
        if not float(margin) > 0:
            witness = target.replay(theta)
            if witness is not None:
                return witness
    return None


def _descend(target: Target, starts: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Take signed gradient steps of shrinking length within the range; return the best theta and margin of each."""
    lower, upper = target.region.corners()
    theta, best, best_margins = starts.clone(), starts.clone(), torch.full((len(starts),), torch.inf)
    length = (upper - lower) / 8
    for _ in range(steps):
        gradient, margins = _gradient(target.margins, theta)
        better = margins < best_margins
        best = torch.where(better.unsqueeze(1), theta, best)
        best_margins = torch.minimum(margins, best_margins)
        theta = (theta - length * gradient.sign()).clamp(lower, upper)
        length = length * 0.6
    return best, best_margins


def _gradient(function: Callable[[Tensor], Tensor], theta: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        variable = theta.clone().requires_grad_(True)
        margins = function(variable)
        (gradient,) = torch.autograd.grad(margins.sum(), variable)
    return gradient, margins.detach().cpu()
