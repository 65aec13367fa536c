"""A certification of a few images under a small budget, from which `prediction` tells what all of them will take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from usncli.bounding.method import Engine
from usncli.certifying.certify import certify
from usncli.certifying.options import CertifyOptions
from usncli.certifying.problem import make_problem
from usncli.certifying.unstable import count_unstable
from usncli.certifying.verdicts import QueryRecord
from usncli.loading.batching import evenly_spaced, subset
from usncli.loading.pipeline import Pipeline
from usncli.perturbing import PerturbationRange
from usncli.preflight.memory import peak_memory
from usncli.progress import ProgressCallback, ProgressUpdate, silent
from usncli.types import ImageData

IMAGES = 8
"""Images of a pilot, at most."""
SECONDS = 30.0
"""What a pilot may take."""
SHARE = 0.25
"""Share of that which the first image may take over all ranges: a hard one must leave time for others."""
LEAST_CAP = 1.0
"""Seconds that a query of a pilot gets at least."""


@dataclass(frozen=True)
class Pilot:
    """What a pilot found.

    Attributes:
        queries: its records, some of them of queries that were cut off or never begun.
        images: how many images it had.
        cap: seconds that each query could take.
        setup: seconds that do not grow with the number of images.
        counting: seconds that counting unstable ReLUs takes for an image and a range; 0 where it is not asked for.
        memory: peak of the resident memory of the process so far, in bytes; None where that is not known.
        device_memory: peak of the memory held on the GPU, in bytes; None on a CPU.
    """

    queries: tuple[QueryRecord, ...]
    images: int
    cap: float
    setup: float = 0.0
    counting: float = 0.0
    memory: int | None = None
    device_memory: int | None = None


def run_pilot(
    pipeline: Pipeline,
    data: ImageData,
    ranges: Sequence[PerturbationRange],
    options: CertifyOptions,
    *,
    seconds: float = SECONDS,
    progress: ProgressCallback = silent,
) -> Pilot:
    """Certify images spread over the data, each query with at most a share of the time.

    Args:
        pipeline: what would be certified.
        data: all images.
        ranges: all ranges.
        options: of the whole run; where auto_LiRPA would take over, the pilot stops before it does.
        seconds: what the pilot may take, about.
        progress: told after every query.

    Raises:
        UsnError: as `usncli.certifying.certify.certify` does.
    """
    cap = min(options.seconds, max(LEAST_CAP, SHARE * seconds / max(1, len(ranges))))
    engine = Engine.USN if options.engine == Engine.AUTO else options.engine
    small = replace(options, seconds=cap, run_seconds=seconds, engine=engine, limit=0, unstable_images=0)
    device, started = pipeline.mean.device, time.monotonic()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    chosen = pilot_images(min(len(data), options.limit or len(data)))
    queries = certify(pipeline, subset(data, chosen), ranges, small, progress=_named(progress)).queries
    spent = time.monotonic() - started
    return Pilot(
        queries,
        len(chosen),
        cap,
        setup=max(0.0, spent - sum(query.seconds for query in queries)),
        counting=_seconds_of_counting(pipeline, data, ranges, options) if options.unstable_images else 0.0,
        memory=peak_memory(),
        device_memory=torch.cuda.max_memory_reserved(device) if device.type == "cuda" else None,
    )


def pilot_images(count: int) -> list[int]:
    """Return positions of a pilot's images among so many: spread over all, and those first that lie far apart."""
    even = list(evenly_spaced(count, min(count, IMAGES)))
    bits = max(1, (len(even) - 1).bit_length())
    return [even[place] for place in sorted(range(len(even)), key=lambda place: f"{place:0{bits}b}"[::-1])]


def _named(progress: ProgressCallback) -> ProgressCallback:
    def tell(update: ProgressUpdate) -> None:
        progress(update._replace(stage="pilot"))

    return tell


def _seconds_of_counting(
    pipeline: Pipeline, data: ImageData, ranges: Sequence[PerturbationRange], options: CertifyOptions
) -> float:
    one = replace(options, unstable_images=1)
    problem, started = make_problem(pipeline, one), time.monotonic()
    count_unstable(problem, data, ranges[:1], one)
    return time.monotonic() - started
