"""A perturbation and the box of its parameters, as a user writes it: ``brightness=0.1,contrast=0.8:1.3``."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from usncli.errors import ConfigurationError, suggestion
from usncli.perturbing.gamma import Gamma
from usncli.perturbing.perturbation import Perturbation
from usncli.perturbing.photometric import Brightness, BrightnessContrast, Contrast, Pivot

NAMES = ("brightness", "contrast", "gamma")
"""Parameters that ``--perturb`` knows."""
ROUNDING = 1e-12
"""How far an end may lie beyond a limit: 1 - 0.9 is a little less than 0.1."""


@dataclass(frozen=True)
class PerturbationRange:
    """A perturbation with a closed box of parameters that holds the identity.

    Attributes:
        perturbation: the function.
        lower, upper: ends of the box, one number a parameter.
        label: how the user may write it again; pivot and clipping are stated beside it, not in it.

    Raises:
        ConfigurationError: an end is not finite, missing, or beyond the limits of its parameter, or the identity lies
            outside. A box may have no width.
    """

    perturbation: Perturbation
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    label: str

    def __post_init__(self) -> None:
        names = self.perturbation.parameters
        if not len(self.lower) == len(self.upper) == len(names):
            raise ConfigurationError(
                f"range {self.label!r}: expected one lower and one upper end for each of {', '.join(names)}, "
                f"got {self.lower} and {self.upper}"
            )
        for parameter, interval in zip(
            _parameters(self.perturbation), zip(self.lower, self.upper, strict=True), strict=True
        ):
            _check(f"range {self.label!r}", parameter, interval)

    @property
    def dimension(self) -> int:
        """Number of parameters."""
        return self.perturbation.dimension

    def corners(self) -> tuple[Tensor, Tensor]:
        """Return the lower and the upper end as float64 tensors ``(dimension,)``."""
        return torch.tensor(self.lower, dtype=torch.float64), torch.tensor(self.upper, dtype=torch.float64)

    def vertices(self) -> Tensor:
        """Return every combination of ends, ``(2 ** dimension, dimension)``, float64."""
        return torch.tensor(list(itertools.product(*zip(self.lower, self.upper, strict=True))), dtype=torch.float64)


class _Parameter(NamedTuple):
    name: str
    identity: float
    least: float
    greatest: float


def parse_range(text: str, *, pivot: Pivot = Pivot.ZERO, clip: bool = True) -> PerturbationRange:
    """Read one ``--perturb`` argument.

    Args:
        text: ``name=eps`` (the identity give or take eps) or ``name=lower:upper``, joined by commas for one joint box.
        pivot: what contrast leaves unchanged.
        clip: whether perturbed images are clipped to [0, 1].

    Raises:
        ConfigurationError: an unknown or repeated name, names that have no joint box, a range that is empty, that
            leaves the identity out, or that leaves the limits of its parameter.
    """
    values = _values(text)
    perturbation = _perturbation(tuple(sorted(values)), text, pivot, clip)
    parameters = _parameters(perturbation)
    intervals = [_interval(parameter, values[parameter.name], text) for parameter in parameters]
    lower, upper = zip(*intervals, strict=True)
    label = ",".join(_label(parameter, *interval) for parameter, interval in zip(parameters, intervals, strict=True))
    return PerturbationRange(perturbation, lower, upper, label)


def _parameters(perturbation: Perturbation) -> list[_Parameter]:
    named = zip(perturbation.parameters, perturbation.identity, perturbation.limits, strict=True)
    return [_Parameter(name, identity, *limits) for name, identity, limits in named]


def _values(text: str) -> dict[str, str]:
    """Return what is given for each name."""
    values: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name not in NAMES:
            raise ConfigurationError(f"--perturb {text!r}: unknown perturbation {name!r}{suggestion(name, NAMES)}")
        if name in values:
            raise ConfigurationError(f"--perturb {text!r}: {name} is given twice; give each once")
        if not equals or not value:
            raise ConfigurationError(f"--perturb {text!r}: expected {name}=EPS or {name}=LOWER:UPPER")
        values[name] = value
    return values


def _perturbation(names: tuple[str, ...], text: str, pivot: Pivot, clip: bool) -> Perturbation:
    match names:
        case ("brightness",):
            return Brightness(clip=clip)
        case ("contrast",):
            return Contrast(clip=clip, pivot=pivot)
        case ("brightness", "contrast"):
            return BrightnessContrast(clip=clip, pivot=pivot)
        case ("gamma",):
            return Gamma(clip=clip)
    raise ConfigurationError(
        f"--perturb {text!r}: only brightness and contrast share one box; give gamma a --perturb of its own"
    )


def _interval(parameter: _Parameter, value: str, text: str) -> tuple[float, float]:
    name = parameter.name
    try:
        numbers = [float(number) for number in value.split(":")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2) or not all(math.isfinite(number) for number in numbers):
        raise ConfigurationError(f"--perturb {text!r}: expected {name}=EPS or {name}=LOWER:UPPER, got {value!r}")
    if len(numbers) == 1:
        if numbers[0] <= 0:
            raise ConfigurationError(f"--perturb {text!r}: the range is empty: expected {name} above 0, got {value}")
        lower, upper = _around(parameter.identity, numbers[0])
    else:
        lower, upper = numbers
    if lower >= upper:
        raise ConfigurationError(f"--perturb {text!r}: the range is empty: expected LOWER < UPPER, got {value}")
    _check(f"--perturb {text!r}", parameter, (lower, upper))
    return lower, upper


def _check(origin: str, parameter: _Parameter, interval: tuple[float, float]) -> None:
    (lower, upper), (name, identity, least, greatest) = interval, parameter
    if not lower <= identity <= upper:
        raise ConfigurationError(
            f"{origin}: expected a range of {name} that holds {identity:g} (no change), got {lower:g}:{upper:g}"
        )
    if lower < least - ROUNDING or upper > greatest + ROUNDING:
        raise ConfigurationError(f"{origin}: expected {name} within {least:g}:{greatest:g}, got {lower:g}:{upper:g}")


def _around(identity: float, epsilon: float) -> tuple[float, float]:
    return identity - epsilon, identity + epsilon


def _label(parameter: _Parameter, lower: float, upper: float) -> str:
    """Write an interval so that reading it again gives the same two floats."""
    short = f"{upper - parameter.identity:.10g}"
    if _around(parameter.identity, float(short)) == (lower, upper):
        return f"{parameter.name}={short}"
    return f"{parameter.name}={_shortest(lower)}:{_shortest(upper)}"


def _shortest(number: float) -> str:
    short = f"{number:g}"
    return short if float(short) == number else repr(number)
