"""When a property fails, as a disjunction of conjunctions of comparisons: what a verifier is asked to find."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Literal, NamedTuple, TypeAlias

from torch import Tensor

from usncli.certifying.properties import ClassificationProperty, HeatmapProperty, KeypointProperty, Property
from usncli.errors import InputError


class Output(NamedTuple):
    """One of the network's flattened predictions.

    Attributes:
        position: its place among them, from 0.
    """

    position: int


class Comparison(NamedTuple):
    """``left relation right``.

    Attributes:
        left: an output.
        relation: how it compares.
        right: another output, or a number.
    """

    left: Output
    relation: Literal[">=", "<="]
    right: Output | float


Conjunction: TypeAlias = tuple[Comparison, ...]
"""Comparisons that all hold, at least one."""


def violations(claim: Property, outputs: int) -> Iterator[Conjunction]:
    """Yield conjunctions of which at least one holds exactly where a property's margin is not above 0.

    Ties fail, as they do in `Property.margins`. Sums of a reference and tau that float64 cannot hold are rounded
    towards the reference: the property that a verifier is asked about is no easier than ours.

    Args:
        claim: the property.
        outputs: number of the network's flattened predictions.

    Raises:
        InputError: it fails whatever the network predicts: no cell of a map is near the reference.
    """
    if isinstance(claim, ClassificationProperty):
        return _classes(claim, outputs)
    if isinstance(claim, KeypointProperty):
        return _keypoints(claim)
    if isinstance(claim, HeatmapProperty):
        return _heatmaps(claim.near.flatten(1))
    raise TypeError(f"no VNN-LIB form of {type(claim).__name__}")


def _classes(claim: ClassificationProperty, outputs: int) -> Iterator[Conjunction]:
    """One conjunction an other class, whose logit is at least the reference's."""
    others = (index for index in range(outputs) if index != claim.reference)
    return ((Comparison(Output(index), ">=", Output(claim.reference)),) for index in others)


def _keypoints(claim: KeypointProperty) -> Iterator[Conjunction]:
    """Two conjunctions a visible coordinate: tau pixels or more to either side of the reference."""
    reference = claim.reference.double().flatten().tolist()
    for index in claim.visible.repeat_interleave(2).nonzero().flatten().tolist():
        yield (Comparison(Output(index), ">=", _sum_down(reference[index], claim.tau)),)
        yield (Comparison(Output(index), "<=", -_sum_down(-reference[index], claim.tau)),)


def _heatmaps(near: Tensor) -> Iterator[Conjunction]:
    """One conjunction a far cell, which is at least as high as every near cell of its map."""
    if not bool(near.any(dim=1).all()):
        raise InputError("no cell of a heatmap lies within tau of the reference, so nothing could hold; raise tau")
    return _far_cells(near)


def _far_cells(near: Tensor) -> Iterator[Conjunction]:
    for number, cells in enumerate(near):
        first = number * len(cells)
        close = [Output(first + cell) for cell in cells.nonzero().flatten().tolist()]
        for far in (~cells).nonzero().flatten().tolist():
            yield tuple(Comparison(Output(first + far), ">=", cell) for cell in close)


def _sum_down(first: float, second: float) -> float:
    """Return the greatest float that is no more than the sum."""
    total = first + second
    return math.nextafter(total, -math.inf) if Fraction(total) > Fraction(first) + Fraction(second) else total
