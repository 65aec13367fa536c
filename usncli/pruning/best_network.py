"""Which network of a run is kept: the best that evaluations saw, or the last."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from usncli.loading.pipeline import Pipeline


class Evaluation(NamedTuple):
    """What an evaluation says of a network.

    Attributes:
        rank: compared number by number from the first on; higher is better.
        figures: numbers for people to read, by name.
    """

    rank: tuple[float, ...]
    figures: Mapping[str, float]


Evaluate = Callable[[Pipeline], Evaluation]
"""Judges a network as it would ship, and leaves it as it is."""


class BestNetwork:
    """Evaluates a network at stated steps and keeps the weights of the best.

    Args:
        network: what is trained.
        evaluate: judges it as it stands.
        due: numbers of finished steps after which it is evaluated; none makes the last network the result.
        patience: evaluations in a row without a gain that end the run; 0 never ends it.
    """

    def __init__(
        self, network: nn.Module, evaluate: Callable[[], Evaluation], due: Collection[int], patience: int
    ) -> None:
        self.network, self.evaluate, self.due, self.patience = network, evaluate, frozenset(due), patience
        self.evaluations: list[dict[str, float]] = []
        self.step: int | None = None
        self._rank: tuple[float, ...] = ()
        self._weights: dict[str, Tensor] = {}
        self._without_gain = 0

    def after_whole_step(self, step: int) -> None:
        """Evaluate the network where it is due.

        Args:
            step: steps finished.
        """
        if step not in self.due:
            return
        found = self.evaluate()
        self.evaluations.append({"step": step, **found.figures})
        if self.step is None or found.rank > self._rank:
            self.step, self._rank, self._without_gain = step, found.rank, 0
            self._weights = {name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()}
        else:
            self._without_gain += 1

    @property
    def ended(self) -> bool:
        """Whether too many evaluations in a row have gained nothing."""
        return 0 < self.patience <= self._without_gain

    def load(self) -> None:
        """Set the network's weights to the best that were seen; they stay where nothing was evaluated."""
        if self.step is not None:
            self.network.load_state_dict(self._weights)

    def state(self) -> dict[str, Any]:
        """Return what must be saved: plain values and tensors."""
        return {
            "evaluations": self.evaluations,
            "step": self.step,
            "rank": self._rank,
            "weights": self._weights,
            "without_gain": self._without_gain,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the state of a saved run."""
        self.evaluations, self.step, self._rank = list(state["evaluations"]), state["step"], tuple(state["rank"])
        self._weights, self._without_gain = dict(state["weights"]), state["without_gain"]
