"""From a pilot to what a whole certification will take: time by range, and memory."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from usncli.certifying.attempt import FIRST_ENGINE_SHARE
from usncli.certifying.certify import OUT_OF_TIME
from usncli.certifying.engines import falls_back
from usncli.certifying.options import CertifyOptions
from usncli.certifying.verdicts import QueryRecord, Verdict
from usncli.preflight.pilot import Pilot

ALONE = 3.0
"""Factor by which one image may be unlike the others, and the rest of a range unlike what was proved first."""
TELLING = 0.1
"""Least proved share of a range from which the rest is foretold of a query that was cut off early."""
MACHINE = 1.5
"""Factor by which a machine may be faster or slower later on."""


class Span(NamedTuple):
    """A figure with what it may be at least and at most."""

    low: float
    middle: float
    high: float

    def times(self, factor: float) -> Span:
        """Return all three multiplied."""
        return Span(self.low * factor, self.middle * factor, self.high * factor)

    def plus(self, other: Span) -> Span:
        """Return the sum of both."""
        return Span(self.low + other.low, self.middle + other.middle, self.high + other.high)

    def at_most(self, limit: float) -> Span:
        """Return what a limit leaves."""
        return Span(min(self.low, limit), min(self.middle, limit), min(self.high, limit))


@dataclass(frozen=True)
class RangePrediction:
    """What one range will take.

    Attributes:
        perturbation: its label.
        images: pilot images that it rests on; 0 where the pilot ended first, and the whole budget is assumed.
        open: how many of them the pilot left undecided.
        seconds: of an image, a mean.
        total: seconds of all images.
    """

    perturbation: str
    images: int
    open: int
    seconds: Span
    total: Span


@dataclass(frozen=True)
class Prediction:
    """What a certification will take.

    Attributes:
        ranges: by range, in order.
        rest: seconds of what is done once, and of counting unstable ReLUs.
        images: how many will be certified.
        seconds: of the run, without loading network and images.
        memory: peak of the resident memory of the process in bytes; None where that is not known.
        device_memory: peak of the memory held on the GPU in bytes; None on a CPU.
    """

    ranges: tuple[RangePrediction, ...]
    rest: Span
    images: int
    seconds: Span
    memory: Span | None
    device_memory: Span | None


def predict(pilot: Pilot, labels: Sequence[str], images: int, options: CertifyOptions) -> Prediction:
    """Extrapolate a pilot.

    Args:
        pilot: of the same network, data, ranges and options.
        labels: of the ranges.
        images: how many will be certified.
        options: of the whole run.
    """
    ranges = tuple(_predict_range(pilot, label, images, options) for label in labels)
    counted = pilot.counting * min(images, options.unstable_images) * len(labels)
    once = pilot.setup + counted
    rest = Span(once / MACHINE, once, once * MACHINE)
    queries = Span(0.0, 0.0, 0.0)
    for item in ranges:
        queries = queries.plus(item.total)
    seconds = rest.plus(queries.at_most(options.run_seconds or math.inf))
    # What the pilot left open may go to auto_LiRPA, which the pilot did not see, and which takes what it may.
    more = options.memory * 1e9 if falls_back(options) and any(item.open for item in ranges) else 0.0
    return Prediction(ranges, rest, images, seconds, _memory(pilot.memory, more), _memory(pilot.device_memory, more))


def _predict_range(pilot: Pilot, label: str, images: int, options: CertifyOptions) -> RangePrediction:
    queries = [query for query in pilot.queries if query.perturbation == label]
    begun = [query for query in queries if query.seconds > 0]
    answered = [query for query in begun if not _cut_off(query, pilot.cap)]
    # What was cut off sooner than any other was answered says nothing, and makes nothing surer.
    least = min((query.seconds for query in answered), default=0.0)
    begun = [query for query in begun if query.seconds >= least]
    costs = {id(query): cost(query, pilot.cap, options) for query in answered}
    known = list(costs.values())
    for query in begun:
        if id(query) not in costs:
            costs[id(query)] = _cost_of_cut_off(query, known, options)
    seconds = _with_doubt(list(costs.values()), _budget(options))
    still_open = sum(_left_open(query, pilot.cap) for query in begun)
    return RangePrediction(label, len(begun), still_open, seconds, seconds.times(images))


def cost(query: QueryRecord, cap: float, options: CertifyOptions) -> Span:
    """Return what a query of a pilot would take with the whole budget.

    A query that was decided takes what it took. One that ran into the cap takes at least that and at most the budget:
    by the share of its range that was proved if any was, unless that leads beyond the budget, else all of it.

    Args:
        query: its record.
        cap: seconds that it could take in the pilot.
        options: of the whole run.
    """
    spent, budget = query.seconds, _budget(options)
    if not _left_open(query, cap):
        return Span(spent, spent, spent)
    if spent < cap and not falls_back(options):
        return Span(spent, spent, spent)  # out of pieces, or of pieces worth cutting
    proved = query.certified_fraction if spent >= cap and query.verdict == Verdict.UNKNOWN else 0.0
    likely = spent / proved if proved > 0 else math.inf
    share = FIRST_ENGINE_SHARE if falls_back(options) else 1.0
    middle = likely if likely <= share * budget else budget
    return Span(min(spent, budget), max(min(spent, budget), middle), min(ALONE * likely, budget))


def _cost_of_cut_off(query: QueryRecord, known: Sequence[Span], options: CertifyOptions) -> Span:
    """Return what a query would have taken that the pilot's end cut off, perhaps before it had come anywhere.

    As long as those of its range that took longer (Efron's redistribution to the right). Where none did: by its own
    proved share if that says something; else as much longer as the others took on average, as if time had no memory.
    """
    own = cost(query, query.seconds, options)
    longer = [item for item in known if item.middle >= query.seconds]
    if longer:
        return _mean(longer)
    if not known or query.certified_fraction >= TELLING:
        return own
    return Span(own.low, min(query.seconds + _mean(known).middle, own.high), own.high)


def _left_open(query: QueryRecord, cap: float) -> bool:
    """Say whether more time would have been used; one that looks for the largest range goes on once it is falsified."""
    looking = query.falsified_scale is not None and query.seconds >= cap
    return query.verdict == Verdict.UNKNOWN or looking


def _cut_off(query: QueryRecord, cap: float) -> bool:
    """Say whether the pilot's end came before the query's own."""
    return query.message == OUT_OF_TIME and query.seconds < cap


def _budget(options: CertifyOptions) -> float:
    return options.seconds * (2 if options.second_opinion else 1)


def _mean(costs: Sequence[Span]) -> Span:
    return Span(*[statistics.fmean(values) for values in zip(*costs, strict=True)])


def _with_doubt(costs: Sequence[Span], budget: float) -> Span:
    """Return the mean cost, wider by twice its standard error and by what a machine may be faster or slower."""
    if not costs:
        return Span(0.0, budget, budget)
    mean = _mean(costs)
    factor = ALONE
    if len(costs) > 1:
        error = statistics.stdev(item.middle for item in costs) / math.sqrt(len(costs))
        factor = MACHINE + 2 * error / max(mean.middle, 1e-9)
    middle = min(mean.middle, budget)
    return Span(min(mean.low / factor, middle), middle, max(middle, min(mean.high * factor, budget)))


def _memory(peak: int | None, more: float) -> Span | None:
    return None if peak is None else Span(peak / MACHINE, float(peak), peak * MACHINE + more)
