"""Masks that follow rho(t): at stated steps the least important channels that are left are masked for good."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from usncli.pruning.masks import ChannelMasker, masked_share
from usncli.pruning.options import MaskOptions
from usncli.pruning.schedule import mask_steps, rho
from usncli.scoring.selection import least_important

ScoreAtStep = Callable[[int], tuple[Tensor, ...]]
"""From steps finished to the importance of every group's channels."""


class ProgressiveMasking:
    """Extends the masks of a network along the ramp.

    Args:
        masker: holds and applies the masks.
        score: importances at a step, none where nothing is ever masked.
        ratio: share masked at the end of the ramp.
        steps: steps of the whole run.
        options: ramp, steps between scorings, and floor.
    """

    def __init__(
        self, masker: ChannelMasker, score: ScoreAtStep | None, ratio: float, steps: int, options: MaskOptions
    ) -> None:
        self.masker, self.score, self.ratio, self.steps, self.options = masker, score, ratio, steps, options
        due = mask_steps(steps, *options.ramp, options.rescore) if score is not None and ratio > 0 else ()
        self.due = frozenset(due)

    @property
    def share(self) -> float:
        """Share of all prunable channels that is masked now."""
        return masked_share(self.masker.masks)

    def before_step(self, step: int) -> None:
        """Mask what rho asks for, where the step is one at which channels are scored.

        Args:
            step: steps finished.
        """
        if self.score is None or step not in self.due or not self.masker.groups:
            return
        wanted = rho(step, self.steps, self.ratio, *self.options.ramp)
        masks = tuple(self.masker.masks.values())
        # What is masked already ranks below all else, so that it is part of the share and of the floor.
        importance = [values.masked_fill(mask, -1.0) for values, mask in zip(self.score(step), masks, strict=True)]
        cut = least_important(self.masker.groups, importance, wanted, self.options.floor)
        self.masker.extend({group.name: mask for group, mask in zip(self.masker.groups, cut, strict=True)})

    def restore(self, masks: Mapping[str, Tensor]) -> None:
        """Set the masks of a saved run."""
        self.masker.extend(masks)
