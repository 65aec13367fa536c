"""What a criterion may look at, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from usncli.loading.batching import epoch_order
from usncli.loading.pipeline import Pipeline
from usncli.perturbing.ranges import PerturbationRange
from usncli.pruning.options import MaskOptions
from usncli.pruning.training import step_seed
from usncli.pruning.training_images import TrainingImages
from usncli.scoring.groups import DependencyGroup

SCORING_PURPOSE = 2
"""Sets the choice of scored images apart from what else is drawn in a step (`step_seed`)."""


@dataclass(frozen=True)
class ScoringContext:
    """What a criterion may look at.

    Attributes:
        pipeline: the network as it stands; left as it is found.
        groups: its dependency groups.
        images: the training images.
        ranges: the perturbations of the run.
        options: how many images and thetas to look at.
        seed: of the run.
        step: steps finished.
    """

    pipeline: Pipeline
    groups: tuple[DependencyGroup, ...]
    images: TrainingImages
    ranges: tuple[PerturbationRange, ...]
    options: MaskOptions
    seed: int
    step: int

    def chosen_images(self) -> list[int]:
        """Return the images of this scoring: another draw each time, a pure function of seed and step."""
        order = epoch_order(len(self.images), step_seed(self.seed, self.step, SCORING_PURPOSE), 0)
        return [int(index) for index in order[: self.options.scoring_images]]


ImportanceCriterion = Callable[[ScoringContext], tuple[Tensor, ...]]
"""Returns for every group ``(channels,)``, finite, at least 0, on the CPU; channels of all groups are compared."""
