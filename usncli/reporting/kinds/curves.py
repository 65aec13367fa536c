"""The certified rate as a function of eps: of ranges that are one range at several sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from usncli.certifying.scaling import ScaledRange
from usncli.certifying.verdicts import Verdict
from usncli.errors import ConfigurationError
from usncli.perturbing import parse_range
from usncli.reporting.kinds.queries import Query, by_perturbation, parameters, rate
from usncli.reporting.rates import Rate, RateCurve, Step

MOST_STEPS = 200
"""Steps of a curve that are kept; where there are more, what is left out makes it err to the safe side."""


class SizedRange(NamedTuple):
    """A range as a size along a direction.

    Attributes:
        family: the same for ranges that are one range at several sizes.
        size: how far its first parameter may be from no change.
        symmetric: whether it is one parameter, as far up as down, so that the size is eps.
    """

    family: tuple[object, ...]
    size: float
    symmetric: bool


def rate_curves(queries: Sequence[Query]) -> tuple[RateCurve, ...]:
    """Return a curve for each family of ranges that has several sizes, or whose largest ranges were looked for.

    Args:
        queries: of one certification.
    """
    families: dict[tuple[object, ...], dict[str, SizedRange]] = {}
    groups = by_perturbation(queries)
    for label in groups:
        sized = sized_range(label)
        families.setdefault(sized.family, {})[label] = sized
    curves = []
    for ranges in families.values():
        own = {label: groups[label] for label in ranges}
        searched = any(query["certified_scale"] is not None for found in own.values() for query in found)
        if searched or len(ranges) > 1:
            curves.append(_curve(ranges, own, searched=searched))
    return tuple(curves)


def sized_range(label: str) -> SizedRange:
    """Read a range as a size along a direction; one that ``--perturb`` does not know is a family of its own."""
    try:
        region = parse_range(label)
    except ConfigurationError:
        return SizedRange((label,), 1.0, symmetric=False)
    scaled = ScaledRange.of(region)
    down, up = (scaled.identity - scaled.lower).tolist(), (scaled.upper - scaled.identity).tolist()
    size = max(down[0], up[0])
    direction = tuple(round(end / size, 9) for end in (*down, *up))
    # Ends are sums of eps and 1, say, so that they are not exact.
    return SizedRange((region.perturbation.parameters, direction), round(size, 12), direction == (1.0, 1.0))


def _curve(ranges: Mapping[str, SizedRange], queries: Mapping[str, Sequence[Query]], *, searched: bool) -> RateCurve:
    largest = max(ranges, key=lambda label: ranges[label].size)
    name = " and ".join(parameters(largest))
    if ranges[largest].symmetric:
        unit, axis = 1.0, f"eps: {name} may change by up to this"
    else:
        unit, axis = ranges[largest].size, f"eps: this share of {largest}"
    sizes = {label: sized.size / unit for label, sized in ranges.items()}
    points = sorted(Step(sizes[label], rate(found)) for label, found in queries.items())
    if not searched:
        return RateCurve(name, axis, tuple(points))
    proved, fails = _reached(sizes, queries)
    end = max(sizes.values())
    certified = _steps(proved, end, lambda eps: sum(reach >= eps for reach in proved))
    standing = _steps(fails, end, lambda eps: sum(reach > eps for reach in fails))
    return RateCurve(name, axis, tuple(points), certified, standing)


def _reached(sizes: Mapping[str, float], queries: Mapping[str, Sequence[Query]]) -> tuple[list[float], list[float]]:
    """Return of every image up to what eps it is proved, and from what eps on it is known to fail.

    Below 0 is an image of which nothing is proved, not even that it is right as it is.
    """
    proved: dict[int, float] = {}
    fails: dict[int, float] = {}
    for label, found in queries.items():
        for query in found:
            index, size = query["index"], sizes[label]
            proved[index] = max(proved.get(index, -1.0), _proved_share(query) * size)
            fails[index] = min(fails.get(index, math.inf), _failing_share(query) * size)
    return list(proved.values()), list(fails.values())


def _proved_share(query: Query) -> float:
    if query["verdict"] in (Verdict.MISCLASSIFIED, Verdict.ERROR):
        return -1.0
    if query["certified_scale"] is not None:
        return float(query["certified_scale"])
    return 1.0 if query["verdict"] == Verdict.CERTIFIED else -1.0


def _failing_share(query: Query) -> float:
    if query["verdict"] == Verdict.MISCLASSIFIED:
        return 0.0
    if query["falsified_scale"] is not None:
        return float(query["falsified_scale"])
    return 1.0 if query["verdict"] == Verdict.FALSIFIED else math.inf


def _steps(reached: Sequence[float], end: float, count: Callable[[float], int]) -> tuple[Step, ...]:
    """Return the steps of a falling curve from 0 to an end, not more than `MOST_STEPS` besides the two."""
    places = sorted({eps for eps in reached if 0 < eps < end})
    every = math.ceil(len(places) / MOST_STEPS) if places else 1
    return tuple(Step(eps, Rate(count(eps), len(reached))) for eps in (0.0, *places[::every], end))
