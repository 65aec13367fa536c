"""What is done to a base network: the recipes that are compared, and the sweeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from usncli.pruning.options import (
    LOSSES,
    AugmentOptions,
    Criterion,
    FinetuneOptions,
    LossOptions,
    MaskOptions,
    OptimiserOptions,
    Target,
)

STEPS = 600
NOTHING = {f"{name}_weight": 0.0 for name in LOSSES}
SOURCE = NOTHING | {"unbiased_weight": 100.0, "smooth_weight": 100.0}
"""The losses that the source states, but for the Wasserstein term."""
OURS = NOTHING | {"unbiased_weight": 30.0, "smooth_weight": 30.0, "consistency_weight": 5.0}
"""Less of these, and consistency, on predictions."""


@dataclass(frozen=True)
class Recipe:
    """What is done to a base network.

    Attributes:
        title: for tables.
        criterion: what is cut.
        losses: weights beside the task's loss.
        ratio: share that is cut.
        target: what it is a share of.
        floor: share of a group's channels that stays.
        scratch: whether the network is not the base but one of the size that recipe ``usn`` gives, trained anew.
    """

    title: str
    criterion: Criterion = Criterion.NONE
    losses: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    ratio: float = 0.2
    target: Target = Target.CHANNELS
    floor: float = 0.25
    scratch: bool = False

    def options(self, augment: AugmentOptions, seed: int) -> FinetuneOptions:
        """Return the options of fine-tuning."""
        return FinetuneOptions(
            ratio=self.ratio if self.criterion != Criterion.NONE else 0.0,
            target=self.target,
            criterion=self.criterion,
            optimiser=OptimiserOptions(steps=STEPS),
            losses=LossOptions(**self.losses),
            masks=MaskOptions(floor=self.floor, rescore=40),
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
    "ours-macs": Recipe(
        "looseness, our losses, 45% of multiply-adds", Criterion.LOOSENESS, OURS, 0.45, Target.MULTIPLY_ADDS, 0.5
    ),
    "taylor-macs": Recipe(
        "taylor, our losses, 45% of multiply-adds", Criterion.TAYLOR, OURS, 0.45, Target.MULTIPLY_ADDS, 0.5
    ),
    "random-macs": Recipe(
        "random, our losses, 45% of multiply-adds", Criterion.RANDOM, OURS, 0.45, Target.MULTIPLY_ADDS, 0.5
    ),
}
"""The main comparison, at rho 0.2, with the controls that could refute what is claimed."""

RATIOS = (0.1, 0.2, 0.3, 0.5)
WASSERSTEIN: Mapping[str, Mapping[str, float]] = {
    "0": {},
    "1": {"wasserstein_weight": 1.0},
    "10": {"wasserstein_weight": 10.0},
    "adaptive": {"wasserstein_weight": 10.0, "wasserstein_limit": 0.1},
}
"""Weights of the Wasserstein loss by what tables call them; adaptive: its gradient at most a tenth of the task's."""


def swept(ratio: float, weight: str) -> str:
    """Return the name of the recipe that cuts a share by instability under a weight of the Wasserstein loss."""
    return {(0.2, "0"): "usn", (0.2, "1"): "usn-w"}.get((ratio, weight), f"usn-rho{ratio:g}-w{weight}")


SWEEP: Mapping[str, Recipe] = {
    swept(ratio, weight): Recipe(f"usn, rho {ratio:g}, lambda_W {weight}", Criterion.USN, SOURCE | losses, ratio)
    for ratio in RATIOS
    for weight, losses in WASSERSTEIN.items()
}
"""rho by lambda_W, on the fly's CNN7."""
RECIPES = {**SWEEP, **MAIN}
