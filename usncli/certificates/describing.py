"""From a pipeline, a range, a property to what a certificate says of it; issuing and checking both describe so."""

from __future__ import annotations

import hashlib

import torch

from usncli.certificates.lines import ClassReference, HeatmapReference, KeypointReference, Network, Range, Reference
from usncli.certifying.hashing import hash_network
from usncli.certifying.properties import ClassificationProperty, HeatmapProperty, KeypointProperty, Property
from usncli.loading.pipeline import Pipeline
from usncli.perturbing import PerturbationRange, Pivot, parse_range

AGREEMENT = 1e-4
"""Largest difference of a reference point, in pixels and as a share of 1 + its size, that executions may explain."""


def describe_network(pipeline: Pipeline) -> Network:
    """Return what a certificate says of a pipeline with a captured network.

    Raises:
        UnsupportedOperationError: the network holds what no captured network does.
    """
    graph, weights = hash_network(pipeline)
    values = pipeline.preprocessing.to_record()
    return Network(graph=graph, weights=weights, task=pipeline.task.value, **values)


def describe_range(region: PerturbationRange) -> Range:
    """Return what a certificate says of a range."""
    pivot = getattr(region.perturbation, "pivot", None)
    return Range(
        label=region.label,
        parameters=region.perturbation.parameters,
        lower=region.lower,
        upper=region.upper,
        pivot=None if pivot is None else pivot.value,
        clip=region.perturbation.clip,
    )


def read_range(described: Range) -> PerturbationRange:
    """Return the range that a certificate describes.

    Raises:
        ConfigurationError: its label is no range.
        ValueError: its label says another range than its numbers.
    """
    region = parse_range(described.label, pivot=Pivot(described.pivot or Pivot.ZERO), clip=described.clip)
    if describe_range(region) != described:
        raise ValueError(f"range {described.label!r}: its label and its numbers say different things")
    return region


def describe_reference(claim: Property) -> Reference:
    """Return what a certificate says of a property."""
    if isinstance(claim, ClassificationProperty):
        return ClassReference(label=claim.reference)
    if isinstance(claim, KeypointProperty):
        points = tuple((x, y) for x, y in claim.reference.tolist())
        return KeypointReference(points=points, visible=tuple(claim.visible.tolist()))
    assert isinstance(claim, HeatmapProperty)
    near = claim.near.to(torch.uint8).contiguous().numpy().tobytes()
    return HeatmapReference(near=hashlib.sha256(near).hexdigest())


def difference_of(described: Reference | None, found: Reference) -> str | None:
    """Say how a certificate's reference differs from what is found; None where executions explain the difference."""
    if isinstance(described, KeypointReference) and isinstance(found, KeypointReference):
        if described.visible != found.visible:
            return "other keypoints are visible"
        one, other = (torch.tensor(each.points, dtype=torch.float64) for each in (described, found))
        if one.shape != other.shape or bool(((one - other).abs() > AGREEMENT * (1 + other.abs())).any()):
            return "its reference points are others"
        return None
    return None if described == found else "its reference is another"
