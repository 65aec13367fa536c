"""Proving a certificate anew: for a given network, on given images, without searching.

What is checked, and against what:

- the file: unchanged since it was issued (`Certificate.open`);
- the network: its hashes, or, for an ONNX file, that the certificate was bound to it; everything below is computed with
  the network that is given, so that a certificate of another one would not hold either;
- every image and label by hash, every reference by computing it again;
- certified: the pieces cover the range without a gap, exactly, and every piece is proved by the chosen engine, all rows
  of the property; no value of the network contradicts the margin;
- falsified: the witness lies in the range, and the network fails there;
- misclassified: the property does not hold without perturbation;
- unknown and error claim nothing.

Nothing rests on the certificate's word but where the pieces begin and end.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from usncli.bounding.method import Arithmetic, Engine, Method
from usncli.certificates.agreement import CheckedNetwork, Expectations, require_agreement
from usncli.certificates.describing import describe_reference, difference_of, read_range
from usncli.certificates.lines import ImageLine, Proof, Statement
from usncli.certificates.reading import Certificate
from usncli.certificates.record import CheckRecord, Finding, Outcome
from usncli.certifying.batching import bound_together
from usncli.certifying.claims import make_claim
from usncli.certifying.engines import ChosenEngine
from usncli.certifying.falsify import Target
from usncli.certifying.hashing import hash_sample
from usncli.certifying.options import CertifyOptions, Reference
from usncli.certifying.partition import Partition, covers
from usncli.certifying.problem import BoundingProblem, ImageProblem, checked_rows, make_problem
from usncli.certifying.properties import Property
from usncli.certifying.reproof import TOLERANCE, Reproof
from usncli.certifying.scheduling import Frame, run_together
from usncli.errors import CertificateError, ConfigurationError, UsnError
from usncli.perturbing import Boxes, PerturbationRange
from usncli.progress import ProgressCallback, ProgressUpdate, silent
from usncli.types import ImageData, Sample

AT_ONCE = 8
"""Images whose pieces share batches; progress is told after so many."""


@dataclass(frozen=True)
class CheckOptions:
    """How a certificate is checked.

    Attributes:
        engine: whose bounds prove the pieces; ``auto`` is our own, then auto_LiRPA for what that leaves.
        method: how auto_LiRPA bounds networks.
        dtype: precision of auto_LiRPA's bounds.
        memory: gigabytes that bounding may take at once.
    """

    engine: Engine = Engine.AUTO
    method: Method = Method.FORWARD_BACKWARD
    dtype: str = "float64"
    memory: float = 2.0


def check(
    path: Path,
    network: CheckedNetwork,
    data: ImageData,
    options: CheckOptions | None = None,
    expected: Expectations | None = None,
    *,
    progress: ProgressCallback = silent,
) -> CheckRecord:
    """Check a certificate against a network and images; the module's docstring says what is checked.

    Args:
        path: the certificate.
        network: what it is said to be about; set to evaluation mode.
        data: the images that it is said to be about, in their order.
        options: how.
        expected: what the certificate must claim at least.
        progress: told of every image, after `AT_ONCE` of them.

    Raises:
        InputError: the file is no certificate.
        CertificateError: it was changed, or is of another network, other images, or claims less than is expected.
        UnsupportedOperationError: the network holds operations that cannot be bounded.
        UsnError: auto_LiRPA is asked for and missing.
    """
    started, options = time.monotonic(), options or CheckOptions()
    certificate = Certificate.open(path)
    network.pipeline.eval()
    require_agreement(certificate, network, data, expected or Expectations())
    checker = _Checker(certificate, network, data, options)
    found: dict[int, list[Finding]] = {}
    refused, lines = 0, certificate.images()
    while some := list(itertools.islice(lines, AT_ONCE)):
        for line, findings in zip(some, checker.check(some), strict=True):
            found[line.index] = findings
            refused += sum(finding.outcome == Outcome.REFUSED for finding in findings)
            figures = {"refused": float(refused)}
            progress(ProgressUpdate("check", len(found), certificate.statement.images, figures))
    if sorted(found) != [*range(certificate.statement.images)]:
        raise RuntimeError(f"of {certificate.statement.images} images only {len(found)} were checked")
    return CheckRecord(
        certificate=str(path),
        sha256=certificate.end.sha256,
        claim=certificate.statement.claim,
        bound_to=network.onnx_sha256 if network.bound(certificate) else None,
        engine="+".join(name for name in ("usn", "lirpa") if name in checker.engines),
        findings=tuple(itertools.chain.from_iterable(found[index] for index in range(len(found)))),
        pieces=checker.pieces,
        seconds=time.monotonic() - started,
    )


class _Asked(NamedTuple):
    """One proof of a certificate, with what it is about."""

    line: ImageLine
    proof: Proof
    sample: Sample
    region: PerturbationRange
    claim: Property
    shipped: Tensor

    def finding(self, outcome: Outcome, reason: str | None = None) -> Finding:
        return Finding(self.line.name, self.line.index, self.region.label, self.proof.verdict, outcome, reason)


class _Checker:
    """The engines, and what they are to prove.

    Attributes:
        engines: names of those that confirmed anything.
        pieces: that were bounded.
    """

    def __init__(
        self, certificate: Certificate, network: CheckedNetwork, data: ImageData, options: CheckOptions
    ) -> None:
        statement = certificate.statement
        self._data, self._pipeline = data, network.pipeline
        self._ranges = _ranges_of(statement, certificate.path)
        self._options = CertifyOptions(
            tau=statement.tau,
            reference=Reference(statement.reference),
            engine=options.engine,
            arithmetic=Arithmetic(statement.arithmetic),
            method=options.method,
            dtype=options.dtype,
            memory=options.memory,
        )
        self._problem: BoundingProblem = make_problem(network.pipeline, self._options)
        self.engines: set[str] = set()
        self.pieces = 0

    def check(self, lines: Sequence[ImageLine]) -> list[list[Finding]]:
        """Return what was found of some images, one finding a proof."""
        found: dict[tuple[int, int], Finding] = {}
        proofs: dict[tuple[int, int], tuple[_Asked, ImageProblem, Boxes, int]] = {}
        for line in lines:
            for asked in self._asked(line, found):
                key = (line.index, asked.proof.range)
                if asked.proof.verdict == "certified":
                    ready = self._pieces(asked)
                    if isinstance(ready, Finding):
                        found[key] = ready
                    else:
                        proofs[key] = (asked, *ready)
                else:
                    found[key] = self._without_pieces(asked)
        found |= self._prove(proofs)
        return [[found[line.index, proof.range] for proof in line.proofs] for line in lines]

    def _asked(self, line: ImageLine, found: dict[tuple[int, int], Finding]) -> Iterator[_Asked]:
        """Return what an image's proofs are about; where that differs, nothing but findings that say so."""
        sample, pipeline = self._data[line.index], self._pipeline
        reason, claim = None, None
        if hash_sample(sample) != line.sha256:
            reason = f"the image or its label is another ({sample.name})"
        else:
            try:
                claim = make_claim(pipeline, sample, self._options, labelled=self._data.labelled)
                reason = difference_of(line.reference, describe_reference(claim))
            except UsnError as error:
                reason = None if line.reference is None else str(error)
        if claim is not None and reason is None:
            with torch.no_grad():
                shipped = pipeline(sample.image.unsqueeze(0).to(pipeline.mean))
            for proof in line.proofs:
                yield _Asked(line, proof, sample, self._ranges[proof.range], claim, shipped)
            return
        for proof in line.proofs:
            label = self._ranges[proof.range].label
            claims = proof.verdict in ("certified", "falsified", "misclassified")
            outcome = Outcome.REFUSED if reason or claims else Outcome.NO_CLAIM
            why = reason or ("nothing of this image can be certified" if claims else None)
            found[line.index, proof.range] = Finding(line.name, line.index, label, proof.verdict, outcome, why)

    def _without_pieces(self, asked: _Asked) -> Finding:
        """Check a verdict other than certified."""
        if asked.proof.verdict == "misclassified":
            holds = not float(asked.claim.margins(asked.shipped)[0]) > 0
            return asked.finding(*_judged(holds, "the property holds without perturbation"))
        if asked.proof.verdict != "falsified":
            return asked.finding(Outcome.NO_CLAIM)
        theta = torch.tensor(asked.proof.witness or (), dtype=torch.float64)
        lower, upper = asked.region.corners()
        if theta.shape != lower.shape or not bool(((lower <= theta) & (theta <= upper)).all()):
            return asked.finding(Outcome.REFUSED, "the witness is not in the range")
        margin = self._target(asked).margin(theta)
        return asked.finding(*_judged(not margin > 0, f"at the witness the network does not fail: margin {margin:.4g}"))

    def _target(self, asked: _Asked) -> Target:
        pipeline = self._pipeline
        return Target(pipeline, asked.sample.image.unsqueeze(0).to(pipeline.mean), asked.region, asked.claim)

    def _pieces(self, asked: _Asked) -> Finding | tuple[ImageProblem, Boxes, int]:
        """Return the problem, the pieces and the number of rows of a certified query, or what is wrong with it."""
        try:
            boxes = Partition(asked.proof.edges or (), asked.proof.cells).boxes()
        except (ValueError, IndexError) as error:
            return asked.finding(Outcome.REFUSED, f"its pieces are none: {error}")
        if boxes.lower.shape[1] != asked.region.dimension or bool((boxes.lower > boxes.upper).any()):
            return asked.finding(Outcome.REFUSED, "its pieces are no boxes of the range's parameters")
        if not covers(boxes, asked.region.lower, asked.region.upper):
            return asked.finding(Outcome.REFUSED, "its pieces leave a part of the range uncovered")
        lower, upper = asked.region.corners()
        if bool((boxes.lower < lower).any() or (boxes.upper > upper).any()):
            return asked.finding(Outcome.REFUSED, "its pieces reach beyond the range")
        size = 1 + float(asked.shipped.abs().max())
        least = float(self._target(asked).margins_of_many(asked.region.vertices()).min())
        if not least > max(0.0, (asked.proof.margin or 0.0) - TOLERANCE * size):
            return asked.finding(Outcome.REFUSED, f"at a corner of the range its margin is {least:.4g}")
        problem = self._problem.image(asked.sample.image, asked.region, asked.claim, size)
        try:
            return problem, boxes, checked_rows(problem, asked.shipped)
        except ArithmeticError as error:
            return asked.finding(Outcome.UNCONFIRMED, str(error))

    def _prove(
        self, proofs: dict[tuple[int, int], tuple[_Asked, ImageProblem, Boxes, int]]
    ) -> dict[tuple[int, int], Finding]:
        """Prove all pieces; what the first engine leaves, the second one gets."""
        first = self._problem.engines.first
        made = {key: self._proof(entry, first) for key, entry in proofs.items()}
        self._run(list(made.values()), first)
        if any(proof.confirmed for proof in made.values()):
            self.engines.add(first.name)
        if any(not proof.confirmed for proof in made.values()):
            second = self._problem.engines.fallback()
            for key, proof in made.items():
                if second is not None and not proof.confirmed and proof.contradicted is None:
                    made[key] = self._proof(proofs[key], second)
                    self._run([made[key]], second)
                    if made[key].confirmed:
                        self.engines.add(second.name)
        self.pieces += sum(proof.pieces for proof in made.values())
        return {key: _finding(proofs[key][0], proof) for key, proof in made.items()}

    def _proof(self, entry: tuple[_Asked, ImageProblem, Boxes, int], chosen: ChosenEngine) -> Reproof:
        asked, problem, boxes, rows = entry
        return Reproof.of_pieces(problem, boxes, rows, chosen, asked.proof.margin)

    def _run(self, proofs: Sequence[Reproof], chosen: ChosenEngine) -> None:
        """Bound the pieces of all proofs in shared batches, or proof by proof where the engine wants that."""
        frame = Frame(self._options.batch or chosen.engine.pieces_at_once, lambda: False, time.monotonic)
        for group in [proofs] if chosen.shares else [[proof] for proof in proofs]:
            chosen.engine.forget()
            begins = [lambda proof=proof: proof for proof in group]
            for _ in run_together(begins, lambda requests: bound_together(chosen, requests), frame):
                pass


def _judged(holds: bool, reason: str) -> tuple[Outcome, str | None]:
    return (Outcome.CONFIRMED, None) if holds else (Outcome.REFUSED, reason)


def _finding(asked: _Asked, proof: Reproof) -> Finding:
    if proof.confirmed:
        return asked.finding(Outcome.CONFIRMED)
    if proof.contradicted is not None:
        theta = ", ".join(f"{value:.10g}" for value in proof.contradicted)
        return asked.finding(Outcome.REFUSED, f"at theta {theta} the network contradicts it")
    return asked.finding(Outcome.UNCONFIRMED, proof.error or "this engine's bounds do not prove all of its pieces")


def _ranges_of(statement: Statement, path: Path) -> tuple[PerturbationRange, ...]:
    try:
        return tuple(read_range(described) for described in statement.ranges)
    except (ValueError, ConfigurationError) as error:
        raise CertificateError(f"{path}: {error}") from error
