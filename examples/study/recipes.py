"""What is done to a base network: the recipes that are compared, and the sweeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from usncli.pruning.options import (
    AugmentOptions,
    Criterion,
    FinetuneOptions,
    LossOptions,
    MaskOptions,
    OptimiserOptions,
)

STEPS = 600
NOTHING = {"unbiased_weight": 0.0, "smooth_weight": 0.0, "wasserstein_weight": 0.0}
SOURCE = {"unbiased_weight": 100.0, "smooth_weight": 100.0, "wasserstein_weight": 0.0}
"""The losses that the source states, but for the Wasserstein term."""
OURS = SOURCE | {"consistency_weight": 3.0}
"""And consistency, on predictions."""


@dataclass(frozen=True)
class Recipe:
    """What is done to a base network.

    Attributes:
        title: for tables.
        criterion: what is cut.
        losses: weights beside the task's loss.
        ratio: share of channels that is cut.
        scratch: whether the network is not the base but one of the size that recipe ``usn`` gives, trained anew.
    """

    title: str
    criterion: Criterion = Criterion.NONE
    losses: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    ratio: float = 0.2
    scratch: bool = False

    def options(self, augment: AugmentOptions, seed: int) -> FinetuneOptions:
        """Return the options of fine-tuning."""
        return FinetuneOptions(
            ratio=self.ratio if self.criterion != Criterion.NONE else 0.0,
            criterion=self.criterion,
            optimiser=OptimiserOptions(steps=STEPS),
            losses=LossOptions(**self.losses),
            masks=MaskOptions(floor=0.25, rescore=40),
            augment=augment,
            seed=seed,
        )


MAIN: Mapping[str, Recipe] = {
    "dense": Recipe("dense, fine-tuned alike"),
    "scratch": Recipe("pruned size, from scratch", scratch=True),
    "dense-source": Recipe("dense, source's losses", losses=SOURCE),
    "random": Recipe("random, source's losses", Criterion.RANDOM, SOURCE),
    "magnitude": Recipe("magnitude, source's losses", Criterion.MAGNITUDE, SOURCE),
    "usn": Recipe("usn, source's losses", Criterion.USN, SOURCE),
    "usn-w": Recipe("usn, with Wasserstein", Criterion.USN, SOURCE | {"wasserstein_weight": 1.0}),
    "looseness": Recipe("looseness, source's losses", Criterion.LOOSENESS, SOURCE),
    "dense-ours": Recipe("dense, our losses", losses=OURS),
    "ours": Recipe("looseness, our losses", Criterion.LOOSENESS, OURS),
    "ours-0.4": Recipe("looseness, our losses, 0.4", Criterion.LOOSENESS, OURS, ratio=0.4),
}
"""The main comparison, at rho 0.2, with the controls that could refute what is claimed."""

RATIOS = (0.1, 0.2, 0.3, 0.5)
WEIGHTS = (0.0, 1.0, 10.0)

SWEEP: Mapping[str, Recipe] = {
    f"usn-rho{ratio:g}-w{weight:g}": Recipe(
        f"usn, rho {ratio:g}, lambda_W {weight:g}", Criterion.USN, SOURCE | {"wasserstein_weight": weight}, ratio
    )
    for ratio in RATIOS
    for weight in WEIGHTS
}
"""rho by lambda_W, on the fly's CNN7."""
RECIPES = {**MAIN, **SWEEP}
