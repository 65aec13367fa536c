"""Points and weights that stand for the uniform distribution on a box of perturbation parameters.

Since theta has one or two dimensions, a few Gauss-Legendre nodes give the same expectations as Monte Carlo with
thousands of samples, as long as what is averaged is smooth in theta.
"""

from __future__ import annotations

import math
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from usncli.errors import ConfigurationError, suggestion
from usncli.perturbing.ranges import PerturbationRange


class SamplingMethod(StrEnum):
    """How theta is sampled.

    ``monte-carlo``: independent uniform draws. ``quadrature``: Gauss-Legendre nodes, a square grid of them in 2-D.
    ``sobol``: a scrambled Sobol sequence (Owen 1998; ``torch.quasirandom``).
    """

    MONTE_CARLO = "monte-carlo"
    QUADRATURE = "quadrature"
    SOBOL = "sobol"


class ThetaSample(NamedTuple):
    """Points of a box with the weights of an expectation over it.

    Attributes:
        theta: ``(samples, dimension)``, float64, on the CPU.
        weights: ``(samples,)``, float64, above 0, summing to 1.
        variance_factor: what turns the weighted mean of squared deviations from the weighted mean into an estimate of
            the variance: ``samples / (samples - 1)`` for independent draws, which makes it unbiased, else 1.
    """

    theta: Tensor
    weights: Tensor
    variance_factor: float = 1.0


def theta_count(dimension: int, method: str, samples: int) -> int:
    """Return how many points `sample_theta` gives: ``samples``, or the next square number for quadrature in 2-D."""
    if method == SamplingMethod.QUADRATURE and dimension == 2:
        return math.isqrt(samples - 1) ** 2 + 2 * math.isqrt(samples - 1) + 1
    return samples


def sample_theta(
    perturbation_range: PerturbationRange, method: str, samples: int, generator: torch.Generator
) -> ThetaSample:
    """Choose points for expectations over theta, uniform on the box.

    Args:
        perturbation_range: the box.
        method: a `SamplingMethod` or its name.
        samples: points in all, at least 1; for quadrature in 2-D the next square number, since nodes form a grid.
        generator: a CPU generator; quadrature leaves it as it is.

    Raises:
        ConfigurationError: fewer than 1 sample, or an unknown method.
    """
    if samples < 1:
        raise ConfigurationError(f"samples: expected at least 1, got {samples}")
    if method not in tuple(SamplingMethod):
        raise ConfigurationError(f"sampling: unknown method {method!r}{suggestion(method, SamplingMethod)}")
    dimension = perturbation_range.dimension
    factor = 1.0
    if method == SamplingMethod.QUADRATURE:
        unit, weights = _gauss_legendre(dimension, theta_count(dimension, method, samples))
    else:
        weights = torch.full((samples,), 1 / samples, dtype=torch.float64)
        if method == SamplingMethod.SOBOL:
            unit = _sobol(dimension, samples, generator)
        else:
            unit = torch.rand(samples, dimension, dtype=torch.float64, generator=generator)
            factor = samples / (samples - 1) if samples > 1 else 1.0
    lower, upper = perturbation_range.corners()
    return ThetaSample(lower + unit * (upper - lower), weights, factor)


def _gauss_legendre(dimension: int, count: int) -> tuple[Tensor, Tensor]:
    """Return nodes in the unit cube, ``(count, dimension)``, and weights ``(count,)``; exact to degree 2n-1 an axis."""
    per_axis = count if dimension == 1 else math.isqrt(count)
    on_interval = _gauss_legendre_on_interval(per_axis)
    nodes, weights = (torch.tensor(values, dtype=torch.float64) for values in on_interval)
    nodes, weights = (nodes + 1) / 2, weights / 2
    if dimension == 1:
        return nodes.unsqueeze(1), weights
    return torch.cartesian_prod(nodes, nodes), torch.outer(weights, weights).flatten()


@lru_cache(maxsize=16)
def _gauss_legendre_on_interval(count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return nodes in [-1, 1] and weights that sum to 2; kept, because finding the nodes takes a millisecond."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return tuple(nodes.tolist()), tuple(weights.tolist())


def _sobol(dimension: int, samples: int, generator: torch.Generator) -> Tensor:
    seed = int(torch.randint(2**31, (), generator=generator))
    engine = torch.quasirandom.SobolEngine(dimension, scramble=True, seed=seed)  # type: ignore[no-untyped-call]
    return engine.draw(samples, dtype=torch.float64)
