"""One query: an image and a range, from the search for a counterexample to the verdict."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from usncli.certifying.branch_and_bound import Budget, Outcome, branch_and_bound
from usncli.certifying.claims import make_claim
from usncli.certifying.falsify import Target, Witness, search
from usncli.certifying.options import CertifyOptions
from usncli.certifying.problem import BoundingProblem, ImageProblem
from usncli.certifying.verdicts import QueryRecord, Verdict
from usncli.perturbing import Boxes, PerturbationRange
from usncli.types import Sample

REWRITING_TOLERANCE = 1e-3
"""Largest difference of the rewritten network from the shipped one, as a share of 1 + the largest absolute output."""


@dataclass(frozen=True)
class Query:
    """What is asked.

    Attributes:
        sample: image, label and name.
        index: position of the image in the data.
        labelled: whether the label means anything.
        region: the perturbation and its range.
        first_pieces: equal pieces to start from, a power of two.
    """

    sample: Sample
    index: int
    labelled: bool
    region: PerturbationRange
    first_pieces: int = 1

    def record(self, verdict: Verdict, started: float) -> QueryRecord:
        """Return a record of this query that ends now."""
        seconds = time.monotonic() - started
        return QueryRecord(self.sample.name, self.index, self.region.label, verdict, seconds=seconds)


def answer(problem: BoundingProblem, query: Query, options: CertifyOptions) -> QueryRecord:
    """Decide one query; a crash becomes the verdict ``error`` with its message."""
    started = time.monotonic()
    try:
        return _answer(problem, query, options, started)
    except Exception as error:  # Whatever a query's own data or the engine break must not end the other queries.
        message = f"{type(error).__name__}: {error}".splitlines()[0]
        return replace(query.record(Verdict.ERROR, started), message=message)


def _answer(problem: BoundingProblem, query: Query, options: CertifyOptions, started: float) -> QueryRecord:
    claim = make_claim(problem.pipeline, query.sample, options, labelled=query.labelled)
    image = query.sample.image.unsqueeze(0).to(problem.pipeline.mean)
    target = Target(problem.pipeline, image, query.region, claim)
    identity = torch.tensor(query.region.perturbation.identity, dtype=torch.float64)
    clean = target.margin(identity)
    if not clean > 0:
        record = query.record(Verdict.MISCLASSIFIED, started)
        return replace(record, margin=_finite(clean), clean_margin=_finite(clean))
    witness, least = search(target, options.falsify)
    if witness is None:
        outcome, witness = _bound(problem, query, options, target, started)
    else:
        outcome = None
    record = _record(query, outcome, witness, least, started)
    return replace(record, clean_margin=_finite(clean))


def _bound(
    problem: BoundingProblem, query: Query, options: CertifyOptions, target: Target, started: float
) -> tuple[Outcome, Witness | None]:
    """Search by branch and bound; return its outcome and the witness that it met, if any."""
    image_problem = problem.image(query.sample.image, query.region, target.claim, _threshold(target, options))
    _check_rewriting(image_problem, target)
    witnesses: list[Witness] = []

    def confirm(theta: Tensor) -> bool:
        witness = target.replay(theta)
        witnesses.extend([] if witness is None else [witness])
        return witness is not None

    lower, upper = query.region.corners()
    budget = Budget(
        deadline=started + options.seconds,
        pieces=options.pieces,
        batch=options.batch or problem.engine.pieces_at_once,
        clock=time.monotonic,
        first_pieces=query.first_pieces,
    )
    problem.engine.forget()
    outcome = branch_and_bound(
        Boxes(lower.unsqueeze(0), upper.unsqueeze(0)),
        torch.tensor(query.region.perturbation.identity, dtype=torch.float64),
        image_problem.row_count,
        (image_problem.bound, confirm),
        image_problem.threshold,
        budget,
    )
    return outcome, witnesses[0] if witnesses else None


def _check_rewriting(problem: ImageProblem, target: Target) -> None:
    """Make sure that the network that is bounded is the network that ships.

    Raises:
        ArithmeticError: the two differ on the clean image by more than float32's rounding explains.
    """
    with torch.no_grad():
        shipped = target.pipeline(target.image).to(problem.image)
    bounded = problem.clean_prediction()
    tolerance = REWRITING_TOLERANCE * (1 + float(shipped.abs().max()))
    if not torch.allclose(bounded, shipped, rtol=0, atol=tolerance):
        difference = float((bounded - shipped).abs().max())
        raise ArithmeticError(f"the rewritten network differs from the shipped one by {difference:.3g} on this image")


def _threshold(target: Target, options: CertifyOptions) -> float:
    with torch.no_grad():
        outputs = target.pipeline(target.image)
    return options.slack * (1 + float(outputs.abs().max()))


def _record(
    query: Query, outcome: Outcome | None, witness: Witness | None, least: float, started: float
) -> QueryRecord:
    if witness is not None:
        record = query.record(Verdict.FALSIFIED, started)
        record = replace(record, margin=_finite(witness.margin), witness=witness.theta)
    else:
        assert outcome is not None
        verdict = Verdict.CERTIFIED if outcome.proved else Verdict.UNKNOWN
        margin = outcome.worst if outcome.proved else min(outcome.worst, least)
        record = replace(query.record(verdict, started), margin=_finite(margin))
    if outcome is None:
        return record
    box = outcome.certified_box
    return replace(
        record,
        pieces=outcome.pieces,
        certified_fraction=outcome.certified_fraction,
        certified_lower=None if box is None else box.lower,
        certified_upper=None if box is None else box.upper,
    )


def _finite(margin: float) -> float | None:
    """Return a margin as JSON can hold it: None for an infinity or no number."""
    return margin if math.isfinite(margin) else None
