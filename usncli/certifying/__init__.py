"""Certification: properties, counterexamples, bounds, branch and bound, verdicts."""

from usncli.bounding.method import Arithmetic, Engine, Method
from usncli.bounding.rewriting import UnsupportedOperation, unsupported_operations
from usncli.certifying.certify import certify
from usncli.certifying.options import CertifyOptions, Reference
from usncli.certifying.records import CertificationRecord
from usncli.certifying.unstable import unstable_relus
from usncli.certifying.verdicts import QueryRecord, Verdict

__all__ = [
    "Arithmetic",
    "CertificationRecord",
    "CertifyOptions",
    "Engine",
    "Method",
    "QueryRecord",
    "Reference",
    "UnsupportedOperation",
    "Verdict",
    "certify",
    "unstable_relus",
    "unsupported_operations",
]
