"""A certificate's verdicts tried in onnxruntime, on the file that ships.

No proof, and none of what proofs rest on: no bounds, and of PyTorch only what perturbs and
normalises the images.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor, nn

from usncli.certificates.describing import read_range
from usncli.certificates.lines import Proof
from usncli.certificates.reading import Certificate
from usncli.certificates.record import CheckRecord, Finding, Outcome
from usncli.certifying.claims import make_claim
from usncli.certifying.falsify import Target
from usncli.certifying.options import CertifyOptions, Reference
from usncli.errors import CertificateError
from usncli.exporting.runtime import run_onnx, session
from usncli.loading.pipeline import Pipeline
from usncli.perturbing import PerturbationRange
from usncli.progress import ProgressCallback, ProgressUpdate, silent
from usncli.types import ImageData


class _InOnnxruntime(nn.Module):
    """A network that onnxruntime computes."""

    def __init__(self, opened: onnxruntime.InferenceSession) -> None:
        super().__init__()
        self._opened = opened

    def forward(self, images: Tensor) -> Tensor:
        return run_onnx(self._opened, images)


def in_onnxruntime(path: Path, pipeline: Pipeline) -> Pipeline:
    """Return a pipeline whose network is an ONNX file that onnxruntime runs, on as many threads as it likes.

    Args:
        path: the file.
        pipeline: as it was read from that file: with the preprocessing that the file leaves to its user.

    Raises:
        InputError: onnxruntime cannot run the file.
    """
    return Pipeline(_InOnnxruntime(session(path, threads=0)), pipeline.preprocessing, pipeline.task).eval()


def replay(
    record: CheckRecord,
    onnx: Path,
    pipeline: Pipeline,
    data: ImageData,
    samples: int,
    *,
    seed: int = 0,
    progress: ProgressCallback = silent,
) -> CheckRecord:
    """Try what a check has confirmed: certified ranges at corners and random thetas, falsified ones at the witness.

    Args:
        record: of the check.
        onnx: the file that ships.
        pipeline: as it was read from that file.
        data: the images of the certificate.
        samples: thetas a certified query, drawn uniformly from its range, beside its corners.
        seed: of the thetas.
        progress: told after every image.

    Returns:
        The record, with a finding refused where onnxruntime contradicts it.

    Raises:
        InputError, CertificateError: the certificate cannot be read any more, or is not the one that was checked.
    """
    certificate, deployed = Certificate.open(Path(record.certificate)), in_onnxruntime(onnx, pipeline)
    if certificate.end.sha256 != record.sha256:
        raise CertificateError(
            f"{record.certificate}: expected the certificate that was checked, got another; check anew"
        )
    statement = certificate.statement
    ranges = [read_range(described) for described in statement.ranges]
    options = CertifyOptions(tau=statement.tau, reference=Reference(statement.reference))
    generator = torch.Generator().manual_seed(seed)
    findings, replayed = iter(record.findings), 0
    tried: list[Finding] = []
    for line in certificate.images():
        sample = data[line.index]
        for proof in line.proofs:
            finding, region = next(findings), ranges[proof.range]
            theta = _thetas(proof, region, samples, generator)
            if finding.outcome == Outcome.CONFIRMED and len(theta):
                claim = make_claim(deployed, sample, options, labelled=data.labelled)
                margins = Target(deployed, sample.image.unsqueeze(0), region, claim).margins_of_many(theta)
                finding = _contradicted(finding, theta, margins)
                replayed += len(theta)
            tried.append(finding)
        progress(ProgressUpdate("onnxruntime", line.index + 1, statement.images))
    return replace(record, findings=tuple(tried), replayed=replayed)


def _thetas(proof: Proof, region: PerturbationRange, samples: int, generator: torch.Generator) -> Tensor:
    """Return where a proof is tried, ``(thetas, dimension)``, float64; nowhere where it claims nothing of a range."""
    if proof.verdict == "falsified" and proof.witness is not None:
        return torch.tensor([proof.witness], dtype=torch.float64)
    lower, upper = region.corners()
    if proof.verdict != "certified":
        return lower.new_zeros(0, len(lower))
    shares = torch.rand(samples, len(lower), generator=generator, dtype=torch.float64)
    return torch.cat([region.vertices(), lower + shares * (upper - lower)])


def _contradicted(finding: Finding, theta: Tensor, margins: Tensor) -> Finding:
    """Return a finding, refused if the margins ``(thetas,)`` contradict its verdict."""
    if finding.verdict == "certified" and not float(margins.min()) > 0:
        place = ", ".join(f"{value:.10g}" for value in theta[margins.argmin()].tolist())
        return _refused(
            finding, f"in onnxruntime it fails at theta {place}, with a margin of {float(margins.min()):.4g}"
        )
    if finding.verdict == "falsified" and float(margins[0]) > 0:
        return _refused(finding, f"in onnxruntime it does not fail at the witness: margin {float(margins[0]):.4g}")
    return finding


def _refused(finding: Finding, reason: str) -> Finding:
    return finding._replace(outcome=Outcome.REFUSED, reason=reason)
