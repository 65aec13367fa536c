"""Settings of a certification run."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import torch

from usncli.bounding.method import Arithmetic, Engine, Method
from usncli.certifying.falsify import FalsifyOptions
from usncli.errors import ConfigurationError, suggestion


class Reference(StrEnum):
    """What predictions under a perturbation are compared with.

    - ``prediction``: the clean prediction: stability.
    - ``label``: the data set's label: correct and stable.
    """

    PREDICTION = "prediction"
    LABEL = "label"


DTYPES = {"float64": torch.float64, "float32": torch.float32}
"""Precisions in which bounds can be computed."""
SLACKS = {"float64": 1e-6, "float32": 1e-3}
"""How far above 0 a margin must be proved, as a share of 1 + the largest absolute reference output, by precision.

It stands in for a rigorous account of rounding where auto_LiRPA bounds, which it is not: see `certify`.
"""


@dataclass(frozen=True)
class CertifyOptions:
    """What to certify and how hard to try.

    Attributes:
        tau: pixels that a keypoint, or the peak of a heatmap, may move; not used for classes.
        reference: what predictions are compared with.
        seconds: budget of a query in wall time, its share of the batches that it is in; the search for counterexamples
            is part of it.
        pieces: budget of a query in pieces of theta.
        run_seconds: budget of the whole run in wall time; what is left then ends unknown. 0 is none.
        engine: which engine bounds networks.
        second_opinion: whether auto_LiRPA verifies every certified piece once more; see `second_opinion`.
        arithmetic: what network a certified verdict is about.
        max_range: whether to look, within each range, for the largest that is certified and the smallest that is
            falsified.
        method: how auto_LiRPA bounds networks.
        dtype: precision of the bounds where the engine is auto_LiRPA alone, ``float64`` or ``float32``.
        memory: gigabytes that bounding may take at once.
        batch: most pieces bounded at once; 0 leaves it to the engine.
        limit: number of images, from the start of the data; 0 is all.
        unstable_images: images on which unstable ReLUs are counted; 0 counts none.
        falsify: budget of the search for counterexamples.

    Raises:
        ConfigurationError: a number out of range.
    """

    tau: float = 2.0
    reference: Reference = Reference.PREDICTION
    seconds: float = 60.0
    pieces: int = 100_000
    run_seconds: float = 0.0
    engine: Engine = Engine.AUTO
    second_opinion: bool = False
    arithmetic: Arithmetic = Arithmetic.REAL
    max_range: bool = False
    method: Method = Method.FORWARD_BACKWARD
    dtype: str = "float64"
    memory: float = 2.0
    batch: int = 0
    limit: int = 0
    unstable_images: int = 0
    falsify: FalsifyOptions = field(default_factory=FalsifyOptions)

    def __post_init__(self) -> None:
        for name in ("tau", "seconds", "memory"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigurationError(f"{name}: expected a number above 0, got {value}")
        if not (math.isfinite(self.run_seconds) and self.run_seconds >= 0):
            raise ConfigurationError(f"run_seconds: expected a number above 0, or 0 for none, got {self.run_seconds}")
        for name, least in (("pieces", 1), ("batch", 0), ("limit", 0), ("unstable_images", 0)):
            if getattr(self, name) < least:
                raise ConfigurationError(
                    f"{name}: expected a whole number of at least {least}, got {getattr(self, name)}"
                )
        if self.dtype not in DTYPES:
            raise ConfigurationError(f"dtype: unknown precision {self.dtype!r}{suggestion(self.dtype, DTYPES)}")
        if self.arithmetic == Arithmetic.FLOAT32 and self.engine == Engine.LIRPA:
            raise ConfigurationError(
                "arithmetic float32: auto_LiRPA says nothing about float32; use the engine usn or auto"
            )

    def to_record(self) -> dict[str, Any]:
        """Return the fields that verdicts depend on as plain JSON values."""
        values = asdict(self)
        values.pop("unstable_images")
        return {name: value.value if isinstance(value, StrEnum) else value for name, value in values.items()}
