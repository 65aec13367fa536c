"""Which engine bounds a network: our own, auto_LiRPA, or the one after the other."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from usncli.bounding.affine.effort import Effort
from usncli.bounding.affine.engine import AffineEngine
from usncli.bounding.engine import BoundEngine
from usncli.bounding.method import Arithmetic, Engine
from usncli.bounding.rewriting import rewrite
from usncli.bounding.rewriting.vocabulary import Vocabulary
from usncli.certifying.options import DTYPES, SLACKS, CertifyOptions
from usncli.errors import UsnError

ROW_ROUNDING = 1e-12
"""Slack for the rounding of rows, which are turned from predictions to raw outputs before any engine sees them."""


@dataclass(frozen=True)
class ChosenEngine:
    """An engine and how it is to be used.

    Attributes:
        name: ``usn`` or ``lirpa``.
        engine: bounds.
        slack: how far above 0 a margin must be proved, as a share of 1 + the largest absolute reference output.
        shares: whether pieces of several queries may share a batch, that is, whether what it finds about a piece does
            not depend on what else it bounds.
    """

    name: str
    engine: BoundEngine
    slack: float
    shares: bool


def falls_back(options: CertifyOptions) -> bool:
    """Say whether auto_LiRPA is to get what our own engine leaves undecided."""
    return options.engine == Engine.AUTO and options.arithmetic == Arithmetic.REAL


def vocabularies(options: CertifyOptions) -> dict[Vocabulary, bool]:
    """Return what a run's engines have the network rewritten into, each with whether the run cannot do without."""
    needed = {Vocabulary.RELU: options.engine == Engine.LIRPA or options.second_opinion}
    if options.engine != Engine.LIRPA:
        return {Vocabulary.FULL: True, **(needed if needed[Vocabulary.RELU] or falls_back(options) else {})}
    return needed


class Engines:
    """The engines of a run; auto_LiRPA is built only where it is needed.

    Args:
        captured: a captured network.
        example: ``(1, channels, height, width)``, in the engines' precision and on their device.
        options: which engine, and how it works.

    Attributes:
        network: the network as the first engine has it rewritten.
        first: the engine that every query meets first.

    Raises:
        UnsupportedOperationError: the first engine cannot bound an operation.
        UsnError: auto_LiRPA is asked for and missing.
    """

    def __init__(self, captured: fx.GraphModule, example: Tensor, options: CertifyOptions) -> None:
        self._captured, self._example, self._options = captured, example, options
        if options.engine == Engine.LIRPA:
            self.network = rewrite(captured, example, example.dtype, Vocabulary.RELU)
            self.first = self.lirpa()
        else:
            self.network = rewrite(captured, example, torch.float64, Vocabulary.FULL)
            effort = Effort(memory=options.memory * 1e9)
            engine = AffineEngine(self.network, example, arithmetic=options.arithmetic, effort=effort)
            self.first = ChosenEngine("usn", engine, ROW_ROUNDING, True)
        if options.second_opinion:
            self.lirpa()

    @property
    def may_fall_back(self) -> bool:
        """Whether auto_LiRPA is to get what the first engine leaves undecided."""
        return falls_back(self._options)

    def fallback(self) -> ChosenEngine | None:
        """Return the engine that gets what the first leaves undecided; None where there is none."""
        if not self.may_fall_back:
            return None
        try:
            return self.lirpa()
        except UsnError:
            # Our own engine decides alone where auto_LiRPA is not installed or cannot take the network.
            return None

    @functools.lru_cache(maxsize=1)  # noqa: B019
    def lirpa(self) -> ChosenEngine:
        """Return auto_LiRPA's engine.

        Raises:
            UsnError: auto_LiRPA is missing, or cannot bound an operation.
        """
        # Only here, since it imports auto_LiRPA.
        from usncli.bounding.lirpa.engine import LirpaEngine

        network = rewrite(self._captured, self._example, self._example.dtype, Vocabulary.RELU)
        engine = LirpaEngine(network, self._example, self._options.method, self._options.memory * 1e9)
        slack = next(SLACKS[name] for name, dtype in DTYPES.items() if dtype == self._example.dtype)
        return ChosenEngine("lirpa", engine, slack, shares=False)
