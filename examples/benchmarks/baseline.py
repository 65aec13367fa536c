"""Queries answered by auto_LiRPA, after the product's own search for counterexamples."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch
from cutting import Answer, Asked, bisect, cut_uniformly
from stock_lirpa import PerturbedNetwork, StockBounds
from subjects import Subject
from torch import Tensor, nn

from usncli.certifying.claims import make_claim
from usncli.certifying.falsify import Target, search
from usncli.certifying.options import CertifyOptions
from usncli.certifying.verdicts import Verdict
from usncli.perturbing import Boxes, PerturbationRange

BATCHES = (1, 4, 16)
"""Numbers of pieces that are tried as a batch; the fastest is used."""
MEMORY = 2e9
"""Bytes that a batch may take, counting 5 float32 tensors of the coefficients of all rows on the largest layer."""
TYPICAL_WIDTH = 1 / 40
"""Share of a range, along each parameter, of the pieces on which they are tried."""


class Baseline:
    """auto_LiRPA on one network and one range.

    Args:
        subject: the network and its images.
        region: the range.
        plain: the network in plain layers.
        limit: seconds a query and strategy.
    """

    def __init__(self, subject: Subject, region: PerturbationRange, plain: nn.Module, limit: float) -> None:
        self._subject, self._region, self._plain, self._limit = subject, region, plain, limit
        self._batch = 0

    def answers(self, index: int) -> tuple[Answer, Answer]:
        """Return the answers of uniform cutting and of bisection for an image."""
        pipeline, sample = self._subject.pipeline, self._subject.data[index]
        options = CertifyOptions(tau=self._subject.tau)
        claim = make_claim(pipeline, sample, options, labelled=self._subject.data.labelled)
        target = Target(pipeline, sample.image.unsqueeze(0), self._region, claim)
        started = time.perf_counter()
        with torch.no_grad():
            clean = float(claim.margins(pipeline(target.image))[0])
        if clean <= 0:
            return (Answer(Verdict.MISCLASSIFIED, 0, 0.0),) * 2
        witness = search(target, clean).witness
        searched = time.perf_counter() - started
        if witness is not None:
            return (Answer(Verdict.FALSIFIED, 0, searched),) * 2
        asked = self._asked(target)
        uniform, bisected = cut_uniformly(asked), bisect(asked)
        return (
            uniform._replace(seconds=uniform.seconds + searched),
            bisected._replace(seconds=bisected.seconds + searched),
        )

    def _asked(self, target: Target) -> Asked:
        pipeline = self._subject.pipeline
        network = PerturbedNetwork(self._plain, target.image[0], self._region, pipeline.mean, pipeline.std)
        bounds = StockBounds(network, self._region.dimension)
        with torch.no_grad():
            raw = torch.zeros_like(pipeline.network(target.image))
            shift = pipeline.decode(raw).flatten()
            factor = pipeline.decode(raw + 1).flatten() - shift

        def least(boxes: Boxes) -> Tensor:
            images = self._region.perturbation.expand(target.image, boxes.centres().to(target.image))
            with torch.no_grad():
                rows = target.claim.rows(pipeline(images)).scaled(factor, shift)
            return bounds.lower(boxes, rows).amin(dim=1)

        if not self._batch:
            rows = target.claim.rows(pipeline(target.image)).bias.shape[1]
            room = MEMORY / (5 * 4 * rows * bounds.largest)
            self._seconds_a_piece(least, 1)  # The first call of all is slower.
            self._batch = min(
                [batch for batch in BATCHES if batch <= max(1, room)], key=partial(self._seconds_a_piece, least)
            )
        return Asked(target, least, self._batch, self._limit)

    def _seconds_a_piece(self, least: Callable[[Boxes], Tensor], batch: int) -> float:
        lower, upper = self._region.corners()
        width = (upper - lower) * TYPICAL_WIDTH
        low = lower + width * torch.arange(batch, dtype=torch.float64).unsqueeze(1)
        started = time.perf_counter()
        least(Boxes(low, low + width))
        return (time.perf_counter() - started) / batch
