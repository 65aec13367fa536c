"""A loss whose weight adapts: its gradient may be at most a share of another one's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from usncli.pruning.processes import Processes

EVERY = 10
"""Steps between two measurements of the gradients; each costs two more backward passes."""


class GradientLimit:
    """Scales a loss down where its gradient would be longer than a share of the task's.

    After Chen et al. 2018, "GradNorm", which balances the norms of gradients by their weights; here one loss is
    limited, and none is ever raised.

    Args:
        share: largest ratio of the two gradients' 2-norms, above 0; 0 limits nothing.
        processes: whose gradients are averaged before they are measured.

    Attributes:
        factor: that the loss is multiplied with, in [0, 1].
    """

    def __init__(self, share: float, processes: Processes) -> None:
        self.share, self.processes = share, processes
        self.factor = 1.0

    def update(self, parameters: Sequence[nn.Parameter], task: Tensor, weighted: Tensor, step: int) -> None:
        """Measure the gradients, every `EVERY` steps.

        Args:
            parameters: all that moves.
            task: the task's loss, with its graph.
            weighted: the limited loss times its weight, likewise.
            step: steps finished.
        """
        if not self.share or step % EVERY:
            return
        allowed, found = (self._length(parameters, loss) for loss in (task, weighted))
        self.factor = min(1.0, self.share * allowed / found) if found > 0 else 1.0

    def _length(self, parameters: Sequence[nn.Parameter], loss: Tensor) -> float:
        if not loss.requires_grad:
            return 0.0
        gradients = torch.autograd.grad(loss, list(parameters), retain_graph=True, allow_unused=True)
        present = [gradient for gradient in gradients if gradient is not None]
        self.processes.average(present)
        return float(torch.stack([gradient.norm() for gradient in present]).norm()) if present else 0.0

    def state(self) -> dict[str, Any]:
        """Return what must be saved."""
        return {"factor": self.factor}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the state of a saved run."""
        self.factor = state["factor"]
