"""Masks that follow rho(t): at stated steps the least important channels that are left are masked for good."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from usncli.pruning.masks import ChannelMasker, masked_share
from usncli.pruning.options import MaskOptions
from usncli.pruning.quantities import Quantity
from usncli.pruning.running_mean import RunningMean
from usncli.pruning.schedule import mask_shares
from usncli.scoring.selection import cut_channels, cutting_order

ScoreAtStep = Callable[[int], tuple[Tensor, ...]]
"""From steps finished to the importance of every group's channels."""


class ProgressiveMasking:
    """Extends the masks of a network along the ramp.

    Args:
        masker: holds and applies the masks.
        score: importances at a step, none where nothing is ever masked.
        quantity: what the ratio is a share of.
        ratio: share removed at the end of the ramp.
        steps: steps of the whole run.
        options: ramp, steps between scorings, momentum of the scores, and floor.

    Attributes:
        importances: of every group's channels, as they were last judged: one that is masked keeps the importance with
            which it was masked. Empty before the first scoring.
    """

    def __init__(
        self,
        masker: ChannelMasker,
        score: ScoreAtStep | None,
        quantity: Quantity,
        ratio: float,
        steps: int,
        options: MaskOptions,
    ) -> None:
        self.masker, self.score, self.quantity = masker, score, quantity
        self.steps, self.floor = steps, options.floor
        self.scores = RunningMean(options.score_momentum)
        self.importances: list[Tensor] = []
        masking = score is not None and ratio > 0 and bool(masker.groups)
        self.due = mask_shares(steps, ratio, options) if masking else {}

    @property
    def share(self) -> float:
        """Share of all prunable channels that is masked now."""
        return masked_share(self.masker.masks)

    @property
    def reached(self) -> float:
        """Share of the quantity that the masks take away."""
        return self.quantity.removed(self.masker.masks)

    @property
    def final_step(self) -> int:
        """Steps finished when the masks become final; 0 where nothing is ever masked."""
        return max(self.due, default=0)

    def importances_by_group(self) -> dict[str, tuple[float, ...]]:
        """Return the importances that channels were last judged by, by the group's name; none before a scoring."""
        return {
            group.name: tuple(values.tolist())
            for group, values in zip(self.masker.groups, self.importances, strict=False)
        }

    def before_step(self, step: int) -> None:
        """Mask what rho asks for, where the step is one at which channels are scored.

        Args:
            step: steps finished.
        """
        if self.score is None or step not in self.due:
            return
        masks = self.masker.masks
        self.quantity.measure(step, masks)
        scores = self.scores.add(self.score(step))
        before = self.importances or scores
        self.importances = [
            torch.where(mask, old, new) for mask, old, new in zip(masks.values(), before, scores, strict=True)
        ]
        # What is masked already ranks below all else, so that it is part of the share and of the floor.
        importance = [values.masked_fill(mask, -1.0) for values, mask in zip(scores, masks.values(), strict=True)]
        order = cutting_order(self.masker.groups, importance, self.floor)
        wanted = self.quantity.goal(self.due[step])
        count = bisect_left(
            range(len(order)), wanted, key=lambda count: self.quantity.removed(self._masks(order[:count]))
        )
        self.masker.extend(self._masks(order[:count]))

    def _masks(self, channels: Tensor) -> dict[str, Tensor]:
        groups = self.masker.groups
        return {group.name: mask for group, mask in zip(groups, cut_channels(groups, channels), strict=True)}

    def state(self) -> dict[str, Any]:
        """Return what must be saved: plain values and tensors."""
        return {
            "masks": self.masker.masks,
            "scores": self.scores.state(),
            "importances": self.importances,
            "quantity": self.quantity.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the state of a saved run."""
        self.masker.extend(state["masks"])
        self.scores.restore(state["scores"])
        self.importances = list(state["importances"])
        self.quantity.restore(state["quantity"])
