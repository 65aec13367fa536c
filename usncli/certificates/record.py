"""What checking a certificate found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, NamedTuple

SCHEMA_VERSION = 1
"""Version of `CheckRecord.to_record`; it grows when a field changes its meaning or goes."""


class Outcome(StrEnum):
    """What became of one proof of a certificate.

    - ``confirmed``: proved anew, or the witness fails again.
    - ``refused``: wrong: a gap, another image, a value that contradicts it.
    - ``unconfirmed``: not shown to be wrong; the engine could not prove it.
    - ``no claim``: unknown and error say nothing that could be checked.
    """

    CONFIRMED = "confirmed"
    REFUSED = "refused"
    UNCONFIRMED = "unconfirmed"
    NO_CLAIM = "no claim"


class Finding(NamedTuple):
    """One image and range.

    Attributes:
        image: its name.
        position: of the image in the data.
        perturbation: label of the range.
        verdict: that the certificate states.
        outcome: what became of it.
        reason: why it is not confirmed.
    """

    image: str
    position: int
    perturbation: str
    verdict: str
    outcome: Outcome
    reason: str | None = None


@dataclass(frozen=True)
class CheckRecord:
    """All proofs of a certificate.

    Attributes:
        certificate: the file.
        sha256: the certificate's digest.
        claim: what it says of what is certified.
        bound_to: SHA-256 of the ONNX file it was held against, where it is bound to that.
        engine: whose bounds confirmed what is certified: ``usn``, ``lirpa`` or both joined by ``+``; empty for none.
        findings: in the order of images, then ranges.
        pieces: that were bounded.
        seconds: wall time.
        replayed: perturbed images that onnxruntime ran, too; 0 where it was not asked to.
    """

    certificate: str
    sha256: str
    claim: str
    bound_to: str | None
    engine: str
    findings: tuple[Finding, ...]
    pieces: int
    seconds: float
    replayed: int = 0

    def count(self, outcome: Outcome) -> int:
        """Return the number of findings with an outcome."""
        return sum(finding.outcome == outcome for finding in self.findings)

    @property
    def refused(self) -> bool:
        """Whether something in the certificate is wrong."""
        return self.count(Outcome.REFUSED) > 0

    @property
    def confirmed(self) -> bool:
        """Whether all that the certificate claims is confirmed."""
        return not self.refused and not self.count(Outcome.UNCONFIRMED)

    def to_record(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        values = asdict(self)
        values["findings"] = [finding._asdict() for finding in self.findings]
        return {"kind": "check", "schema_version": SCHEMA_VERSION, "confirmed": self.confirmed, **values}
