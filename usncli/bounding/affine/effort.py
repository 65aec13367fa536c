"""How much work to spend on a batch of pieces, and on which network."""

from __future__ import annotations

from dataclasses import dataclass

from torch import fx

from usncli.bounding.affine.forward import Settings
from usncli.bounding.affine.plan import Plan
from usncli.bounding.method import Arithmetic


@dataclass(frozen=True)
class Effort:
    """How much work to spend; costs are in passes of the network a piece.

    Attributes:
        refining: on bounding one layer's values again by backward passes.
        rows: on backward passes of the rows.
        hopeless: pieces of which some row may keep only a smaller share of its looseness are not worked on further.
        memory: bytes that backward passes may hold.
        symbols: errors of activations that a forward pass may keep apart.
    """

    refining: float = 2.0
    rows: float = 8.0
    hopeless: float = 1 / 40
    memory: float = 1e9
    symbols: int = 96


@dataclass(frozen=True)
class Bounder:
    """A network ready to be bounded.

    Attributes:
        network: rewritten, in float64.
        plan: its costs and stops.
        arithmetic: whose result is bounded.
        effort: how much work to spend.
    """

    network: fx.GraphModule
    plan: Plan
    arithmetic: Arithmetic
    effort: Effort

    @property
    def settings(self) -> Settings:
        """How forward passes are run."""
        return Settings(self.plan.borders, self.plan.read, self.arithmetic)
