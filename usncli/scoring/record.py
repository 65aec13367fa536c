"""What scoring returns: plain numbers, ready for tables and JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from usncli.scoring.groups import UnprunableGroup
from usncli.scoring.options import ScoreOptions
from usncli.scoring.selection import Overlap
from usncli.scoring.stability import SampleLimit, limited_by

SCHEMA_VERSION = 1
"""Version of `ScoreRecord.to_record`, and of several in one file; it grows when a field changes its meaning or goes."""


@dataclass(frozen=True)
class GroupScore:
    """Scores of one group's channels; every tuple has one number a channel unless it says otherwise.

    Attributes:
        name: of the group.
        layers: modules whose outputs were scored, see `ScoredLayer`.
        unbiased: mean shift in units of the signal, averaged over the living coupled channels.
        smooth: variance in units of the squared signal, averaged likewise.
        instability: ``w_u unbiased^2 + w_s smooth``; infinite for a dead channel.
        instability_error: its standard error over images, which holds that of Monte Carlo too; NaN where it is unknown
            (fewer than 3 images, or a dead channel).
        importance: ``1 / (1 + instability / median)``.
        importance_error: its standard error.
        cut: channels that the ratio cuts, increasing; any number of them.
        dead: channels without any signal, increasing; any number of them.
    """

    name: str
    layers: tuple[str, ...]
    unbiased: tuple[float, ...]
    smooth: tuple[float, ...]
    instability: tuple[float, ...]
    instability_error: tuple[float, ...]
    importance: tuple[float, ...]
    importance_error: tuple[float, ...]
    cut: tuple[int, ...]
    dead: tuple[int, ...]

    def to_record(self) -> dict[str, Any]:
        """Return plain JSON values; what is infinite or unknown is null."""
        return {
            name: [_finite(number) for number in value] if isinstance(value, tuple) else value
            for name, value in vars(self).items()
        }


@dataclass(frozen=True)
class ScoreRecord:
    """Instability and importance of every prunable channel of a network under one perturbation.

    Attributes:
        perturbation: the range, as `parse_range` reads it.
        options: how it was estimated.
        images: number of images scored.
        thetas: perturbed versions of each.
        median: the median instability of the living prunable channels, where importance is 1/2; NaN if there is none.
        groups: scores, in network order.
        unprunable: channels that were not scored, with the reason.
        overlap_images: how much the cut sets of two halves of the images agree; none with fewer than 4 images.
        overlap_thetas: the same for two halves of the thetas, on the images of every fourth batch; none for quadrature,
            whose nodes only make sense together, and with fewer than 4 thetas.
    """

    perturbation: str
    options: ScoreOptions
    images: int
    thetas: int
    median: float
    groups: tuple[GroupScore, ...]
    unprunable: tuple[UnprunableGroup, ...]
    overlap_images: Overlap | None
    overlap_thetas: Overlap | None

    @property
    def channels(self) -> int:
        """Number of prunable channels."""
        return sum(len(group.importance) for group in self.groups)

    @property
    def cut(self) -> int:
        """Number of channels that the ratio cuts."""
        return sum(len(group.cut) for group in self.groups)

    @property
    def limited_by(self) -> SampleLimit | None:
        """What keeps the cut set from being stable yet; none if it is stable, or empty."""
        return limited_by(self.overlap_images, self.overlap_thetas) if self.cut else None

    def to_record(self) -> dict[str, Any]:
        """Return plain JSON values; what is infinite or unknown is null."""
        return {
            "schema": "usncli.score",
            "schema_version": SCHEMA_VERSION,
            "perturbation": self.perturbation,
            "options": self.options.to_record(),
            "images": self.images,
            "thetas": self.thetas,
            "channels": self.channels,
            "cut": self.cut,
            "median": _finite(self.median),
            "groups": [group.to_record() for group in self.groups],
            "unprunable": [{**vars(group), "layers": list(group.layers)} for group in self.unprunable],
            "overlap_images": self.overlap_images.to_record() if self.overlap_images else None,
            "overlap_thetas": self.overlap_thetas.to_record() if self.overlap_thetas else None,
            "limited_by": self.limited_by,
        }


def _finite(number: Any) -> Any:
    return None if isinstance(number, float) and not math.isfinite(number) else number
