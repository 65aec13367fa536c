"""Is a certificate about the network, the images and the settings that it is held against?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from usncli.certificates.describing import describe_network, describe_range
from usncli.certificates.lines import Network
from usncli.certificates.reading import Certificate
from usncli.errors import CertificateError
from usncli.loading.pipeline import Pipeline
from usncli.perturbing import PerturbationRange
from usncli.types import ImageData

HASHED = ("graph", "weights")
SEEN = ("task", "height", "width", "colour")
"""What a network and an ONNX file with its normalisation inside have in common."""


@dataclass(frozen=True)
class CheckedNetwork:
    """A network that a certificate is held against.

    Attributes:
        pipeline: with a captured network.
        onnx_sha256: of the file, where it is an ONNX file.
    """

    pipeline: Pipeline
    onnx_sha256: str | None = None

    def bound(self, certificate: Certificate) -> bool:
        """Say whether the certificate was bound to this very file."""
        return self.onnx_sha256 is not None and self.onnx_sha256 in {each.sha256 for each in certificate.bindings}


@dataclass(frozen=True)
class Expectations:
    """What a certificate must claim; None asks for nothing.

    Attributes:
        tau: pixels.
        reference: what predictions are compared with.
        ranges: each must be among the certificate's.
    """

    tau: float | None = None
    reference: str | None = None
    ranges: Sequence[PerturbationRange] | None = None


def require_agreement(
    certificate: Certificate, network: CheckedNetwork, data: ImageData, expected: Expectations
) -> None:
    """Pass only where the certificate is about what it is held against.

    Raises:
        CertificateError: it is not; all differences are named.
    """
    statement = certificate.statement
    found = _differences(statement.network, network, bound=network.bound(certificate))
    if statement.images != len(data):
        found.append(f"it is of {statement.images} images, the data has {len(data)}; give the same --data and --limit")
    if expected.tau not in (None, statement.tau):
        found.append(f"it claims tau {statement.tau:g}, asked for is {expected.tau:g}")
    if expected.reference not in (None, statement.reference):
        found.append(f"it compares with the {statement.reference}, asked for is the {expected.reference}")
    for region in expected.ranges or ():
        if describe_range(region) not in statement.ranges:
            ranges = ", ".join(each.label for each in statement.ranges)
            found.append(f"{region.label} with these settings is not among its ranges ({ranges})")
    if found:
        raise CertificateError(f"{certificate.path}: the certificate does not hold here: {'; '.join(found)}")


def _differences(claimed: Network, network: CheckedNetwork, *, bound: bool) -> list[str]:
    described = describe_network(network.pipeline)
    names = SEEN if bound else tuple(Network.model_fields)
    differing = [name for name in names if getattr(claimed, name) != getattr(described, name)]
    found = [
        f"{name} {getattr(claimed, name)} was certified, the network has {getattr(described, name)}"
        for name in differing
        if name not in HASHED
    ]
    hashed = [name for name in differing if name in HASHED]
    if hashed:
        advice = "; it is bound to no such ONNX file (usn export --bind)" if network.onnx_sha256 else ""
        found.append(f"the network has another {' and other '.join(hashed)} than the one that was certified{advice}")
    return found
