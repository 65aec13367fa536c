"""What a user can choose about scoring, checked when it is made."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from usncli.errors import ConfigurationError, suggestion
from usncli.perturbing.sampling import SamplingMethod


@dataclass(frozen=True)
class ScoreOptions:
    """How instability is estimated, and what is shown as cut.

    Attributes:
        samples: thetas an image, at least 2; for quadrature in 2-D the next square number is taken.
        method: how theta is sampled, a `SamplingMethod` or its name. Draws are fresh for every image.
        unbiased_weight, smooth_weight: w_u and w_s of the instability, at least 0 and not both 0.
        batch_size: images at once; the network sees ``batch_size * (1 + samples)``.
        ratio: share of all prunable channels whose cut is shown, in [0, 1).
        floor: share of each group's channels that stays, in [0, 1]; at least one channel always stays.
        seed: of the draws of theta.
        images: at most this many images, the first ones; all by default.

    Raises:
        ConfigurationError: a number out of its range or an unknown method.
    """

    samples: int = 8
    method: str = SamplingMethod.QUADRATURE
    unbiased_weight: float = 1.0
    smooth_weight: float = 1.0
    batch_size: int = 32
    ratio: float = 0.2
    floor: float = 0.1
    seed: int = 0
    images: int | None = None

    def __post_init__(self) -> None:
        _check("samples", self.samples, self.samples >= 2, "at least 2 (a variance needs two)")
        if self.method not in tuple(SamplingMethod):
            raise ConfigurationError(
                f"method: unknown sampling method {self.method!r}{suggestion(self.method, SamplingMethod)}"
            )
        _check("unbiased_weight", self.unbiased_weight, self.unbiased_weight >= 0, "a number that is not negative")
        _check("smooth_weight", self.smooth_weight, self.smooth_weight >= 0, "a number that is not negative")
        _check("weights", 0, self.unbiased_weight + self.smooth_weight > 0, "unbiased_weight or smooth_weight above 0")
        _check("batch_size", self.batch_size, self.batch_size >= 1, "at least 1")
        _check("ratio", self.ratio, 0 <= self.ratio < 1, "a share of at least 0 and below 1 (1 would cut everything)")
        _check("floor", self.floor, 0 <= self.floor <= 1, "a share from 0 to 1")
        _check("seed", self.seed, 0 <= self.seed < 2**31, "a whole number from 0 to 2147483647")
        _check("images", self.images, self.images is None or self.images >= 2, "at least 2 (a signal needs two)")

    def to_record(self) -> dict[str, Any]:
        """Return the options as plain JSON values."""
        return asdict(self) | {"method": str(self.method)}


def _check(name: str, value: object, holds: bool, expected: str) -> None:
    if not holds or (isinstance(value, float) and not math.isfinite(value)):
        raise ConfigurationError(f"{name}: expected {expected}, got {value}; change it in usn.yaml or by its flag")
