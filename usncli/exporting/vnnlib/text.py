"""VNN-LIB files: the box of theta and when the property fails, in version 1.0 or 2.0 of the language.

https://www.vnnlib.org states both. 1.0 names each number (``X_0``, ``Y_3``) and is what most verifiers of VNN-COMP
read; 2.0 declares the network with the shapes of its ends (``X[0,0]``, ``Y[0,3]``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from usncli.exporting.vnnlib.violations import Comparison, Conjunction, Output


class VnnlibVersion(StrEnum):
    """Version of the language."""

    V1 = "1.0"
    V2 = "2.0"


@dataclass(frozen=True)
class VnnlibQuery:
    """What a verifier is asked: is there an input in the box at which one of the conjunctions holds?

    Attributes:
        lower, upper: ends of the box, one number an input.
        outputs: number of outputs.
        violations: see `violations.violations`.
        comments: lines that say what the query is about.
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]
    outputs: int
    violations: Iterable[Conjunction]
    comments: tuple[str, ...] = ()


def vnnlib_text(query: VnnlibQuery, version: VnnlibVersion) -> str:
    """Return the content of a ``.vnnlib`` file."""
    return "\n".join(_lines(query, version)) + "\n"


def decimal(number: float) -> str:
    """Write a finite number so that reading it as float64 gives the same, without an exponent: 2.0 knows none."""
    text = format(Decimal(repr(float(number))), "f")
    return text if "." in text else f"{text}.0"


def _lines(query: VnnlibQuery, version: VnnlibVersion) -> Iterator[str]:
    inputs = len(query.lower)
    comments = (f"; {' '.join(comment.split())}" for comment in query.comments)
    if version == VnnlibVersion.V2:
        yield f"(vnnlib-version <{version}>)"
        yield from comments
        yield "(declare-network N"
        yield f"  (declare-input X float32 [1,{inputs}])"
        yield f"  (declare-output Y float32 [1,{query.outputs}]))"
    else:
        yield from comments
        yield from (f"(declare-const X_{index} Real)" for index in range(inputs))
        yield from (f"(declare-const Y_{index} Real)" for index in range(query.outputs))
    for index, (low, high) in enumerate(zip(query.lower, query.upper, strict=True)):
        name = _name("X", index, version)
        yield f"(assert (>= {name} {decimal(low)}))"
        yield f"(assert (<= {name} {decimal(high)}))"
    yield "(assert (or"
    for conjunction in query.violations:
        yield f"  (and {' '.join(_comparison(part, version) for part in conjunction)})"
    yield "))"


def _comparison(comparison: Comparison, version: VnnlibVersion) -> str:
    right = comparison.right
    other = _name("Y", right.position, version) if isinstance(right, Output) else decimal(right)
    return f"({comparison.relation} {_name('Y', comparison.left.position, version)} {other})"


def _name(tensor: str, index: int, version: VnnlibVersion) -> str:
    return f"{tensor}[0,{index}]" if version == VnnlibVersion.V2 else f"{tensor}_{index}"
