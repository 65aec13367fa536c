"""A perturbation and the box of its parameters, as a user writes it: ``brightness=0.1,contrast=0.8:1.3``."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from usncli.errors import ConfigurationError, suggestion
from usncli.perturbing.perturbation import Perturbation
from usncli.perturbing.photometric import Brightness, BrightnessContrast, Contrast, Pivot

LIMITS = {"brightness": (-1.0, 1.0), "contrast": (0.0, 10.0)}
"""Widest range that each parameter may be given."""


@dataclass(frozen=True)
class PerturbationRange:
    """A perturbation with a closed box of parameters that holds the identity.

    Attributes:
        perturbation: the function.
        lower, upper: ends of the box, one number a parameter.
        label: how the user may write it again; pivot and clipping are stated beside it, not in it.

    Raises:
        ConfigurationError: an end is not finite, or missing, or the identity lies outside. A box may have no width.
    """

    perturbation: Perturbation
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    label: str

    def __post_init__(self) -> None:
        names, identity = self.perturbation.parameters, self.perturbation.identity
        if not len(self.lower) == len(self.upper) == len(names):
            raise ConfigurationError(
                f"range {self.label!r}: expected one lower and one upper end for each of {', '.join(names)}, "
                f"got {self.lower} and {self.upper}"
            )
        for name, low, same, high in zip(names, self.lower, identity, self.upper, strict=True):
            if not (math.isfinite(low) and math.isfinite(high) and low <= same <= high):
                raise ConfigurationError(
                    f"range {self.label!r}: expected {name} from a number to a number around {same:g} (no change), "
                    f"got {low:g}:{high:g}"
                )

    @property
    def dimension(self) -> int:
        """Number of parameters."""
        return self.perturbation.dimension

    def corners(self) -> tuple[Tensor, Tensor]:
        """Return the lower and the upper end as float64 tensors ``(dimension,)``."""
        return torch.tensor(self.lower, dtype=torch.float64), torch.tensor(self.upper, dtype=torch.float64)


def parse_range(text: str, *, pivot: Pivot = Pivot.ZERO, clip: bool = True) -> PerturbationRange:
    """Read one ``--perturb`` argument.

    Args:
        text: ``name=eps`` (the identity give or take eps) or ``name=lower:upper``, joined by commas for one joint box.
        pivot: what contrast leaves unchanged.
        clip: whether perturbed images are clipped to [0, 1].

    Raises:
        ConfigurationError: an unknown or repeated name, a range that is empty, that leaves the identity out, or that
            leaves the limits of its parameter.
    """
    intervals: dict[str, tuple[float, float]] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name not in LIMITS:
            raise ConfigurationError(f"--perturb {text!r}: unknown perturbation {name!r}{suggestion(name, LIMITS)}")
        if name in intervals:
            raise ConfigurationError(f"--perturb {text!r}: {name} is given twice; give each once")
        if not equals or not value:
            raise ConfigurationError(f"--perturb {text!r}: expected {name}=EPS or {name}=LOWER:UPPER")
        intervals[name] = _interval(name, value, text)
    names = sorted(intervals)
    perturbation = _perturbation(tuple(names), pivot, clip)
    label = ",".join(f"{name}={_format(name, *intervals[name])}" for name in names)
    return PerturbationRange(
        perturbation,
        tuple(intervals[name][0] for name in names),
        tuple(intervals[name][1] for name in names),
        label,
    )


def _perturbation(names: tuple[str, ...], pivot: Pivot, clip: bool) -> Perturbation:
    if names == ("brightness",):
        return Brightness(clip=clip)
    if names == ("contrast",):
        return Contrast(clip=clip, pivot=pivot)
    return BrightnessContrast(clip=clip, pivot=pivot)


def _identity(name: str) -> float:
    return 1.0 if name == "contrast" else 0.0


def _interval(name: str, value: str, text: str) -> tuple[float, float]:
    try:
        numbers = [float(number) for number in value.split(":")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2) or not all(math.isfinite(number) for number in numbers):
        raise ConfigurationError(f"--perturb {text!r}: expected {name}=EPS or {name}=LOWER:UPPER, got {value!r}")
    identity = _identity(name)
    if len(numbers) == 1:
        if numbers[0] <= 0:
            raise ConfigurationError(f"--perturb {text!r}: the range is empty: expected {name} above 0, got {value}")
        lower, upper = _around(identity, numbers[0])
    else:
        lower, upper = numbers
    if lower >= upper:
        raise ConfigurationError(f"--perturb {text!r}: the range is empty: expected LOWER < UPPER, got {value}")
    if not lower <= identity <= upper:
        raise ConfigurationError(
            f"--perturb {text!r}: expected a range that holds {identity:g} (no change), got {lower:g}:{upper:g}"
        )
    low, high = LIMITS[name]
    if lower < low or upper > high:
        raise ConfigurationError(
            f"--perturb {text!r}: expected {name} within {low:g}:{high:g}, got {lower:g}:{upper:g}"
        )
    return lower, upper


def _around(identity: float, epsilon: float) -> tuple[float, float]:
    return identity - epsilon, identity + epsilon


def _format(name: str, lower: float, upper: float) -> str:
    """Write an interval so that reading it again gives the same two floats."""
    identity = _identity(name)
    short = f"{upper - identity:.10g}"
    if _around(identity, float(short)) == (lower, upper):
        return short
    return f"{_shortest(lower)}:{_shortest(upper)}"


def _shortest(number: float) -> str:
    short = f"{number:g}"
    return short if float(short) == number else repr(number)
