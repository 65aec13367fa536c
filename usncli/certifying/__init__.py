"""Certification: properties, counterexamples, bounds, branch and bound, verdicts and the gate."""

from usncli.bounding.method import Arithmetic, Engine, Method
from usncli.bounding.rewriting import UnsupportedOperation, unsupported_operations
from usncli.certifying.certify import certify
from usncli.certifying.gate import GateOutcome, GateResult, judge
from usncli.certifying.options import CertifyOptions, Reference
from usncli.certifying.records import CertificationRecord
from usncli.certifying.unstable import unstable_relus
from usncli.certifying.verdicts import QueryRecord, Verdict

__all__ = [
    "Arithmetic",
    "CertificationRecord",
    "CertifyOptions",
    "Engine",
    "GateOutcome",
    "GateResult",
    "Method",
    "QueryRecord",
    "Reference",
    "UnsupportedOperation",
    "Verdict",
    "certify",
    "judge",
    "unstable_relus",
    "unsupported_operations",
]
