"""Tying an ONNX file to the certificate of what it holds, where onnxruntime is close enough to what was certified."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from usncli.certificates.describing import describe_network, read_range
from usncli.certificates.reading import Certificate
from usncli.errors import CertificateError, ParityError
from usncli.exporting.parity import Comparison
from usncli.loading.pipeline import Pipeline

METADATA_KEY = "certificate_sha256"
"""What the metadata of a bound ONNX file calls the certificate's digest."""


def open_for(path: Path, pipeline: Pipeline) -> Certificate:
    """Open a certificate, and make sure that it is about a pipeline.

    Raises:
        InputError: the file is no certificate.
        CertificateError: it was changed, or is about another network.
    """
    certificate = Certificate.open(path)
    if certificate.statement.network != describe_network(pipeline):
        raise CertificateError(
            f"bind {path}: expected the certificate of this network, got that of another; certify this one first"
        )
    return certificate


def perturbed_too(images: Tensor, certificate: Certificate) -> Tensor:
    """Return images and what they look like at both ends of every range, so that these are compared as well.

    Args:
        images: ``(batch, channels, height, width)`` in [0, 1].
        certificate: states the ranges.
    """
    every = [images]
    for described in certificate.statement.ranges:
        region = read_range(described)
        ends = torch.stack(region.corners()).to(images)
        every.append(region.perturbation.expand(images, ends))
    return torch.cat(every)


def require_margins(certificate: Certificate, comparisons: Sequence[Comparison]) -> None:
    """Pass only if no certified margin could be lost to the difference between PyTorch and onnxruntime.

    Reference and prediction may each be off by the difference, so that a margin must be above twice that.

    Raises:
        ParityError: one is not; the message names the image.
    """
    difference = max(comparison.largest_difference for comparison in comparisons)
    for line in certificate.images():
        for proof in line.proofs:
            if proof.verdict == "certified" and not (proof.margin or 0.0) > 2 * difference:
                label = certificate.statement.ranges[proof.range].label
                raise ParityError(
                    f"bind: {line.name}, {label} is certified with a margin of {proof.margin:.3g}, but onnxruntime "
                    f"differs from PyTorch by up to {difference:.3g}; no file was written: certify and bind another "
                    "export, or raise tau"
                )
