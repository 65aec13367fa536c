"""What certification of networks of other people's shapes costs, at both levels of arithmetic: time, passes, memory.

    python examples/benchmarks/certify_cost.py
    python examples/benchmarks/certify_cost.py --networks "u-net" --images 2 --quick

Trains the networks of `architectures` on the embedded aircraft (kept in ``--cache``), then certifies the first test
images of each by our own engine, in a process of its own, so that the peak of its resident memory is the network's: a
line for level ``real`` and one for ``float32``, and the ratio of their times. Passes are of the network over one image;
see `QueryRecord.passes`. ``largest range`` is the share of the range around the identity that is proved, a mean.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import torch
from architectures import ARCHITECTURES
from subjects import Source

from usncli.bounding.method import Arithmetic, Engine
from usncli.certifying.certify import certify
from usncli.certifying.options import CertifyOptions
from usncli.perturbing import parse_range

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Cost:
    """One network at one level of arithmetic.

    Attributes:
        network, perturbation, arithmetic: names.
        parameters: of the network.
        verdicts: count by name.
        passes: median of the queries.
        seconds: mean of the queries.
        largest_range: mean share of the range that is proved.
        peak: resident memory of the process at its largest, in bytes, with the image set, PyTorch and Python.
    """

    network: str
    perturbation: str
    arithmetic: str
    parameters: int
    verdicts: dict[str, int]
    passes: float
    seconds: float
    largest_range: float
    peak: int


@dataclass(frozen=True)
class Settings:
    """How a network is trained and certified.

    Attributes:
        source: where networks come from.
        images: how many are certified.
        limit: seconds a query.
        threads: of the CPU; None for all.
    """

    source: Source
    images: int
    limit: float
    threads: int | None


def train(name: str, settings: Settings) -> None:
    """Train a network, unless the cache has it."""
    ARCHITECTURES[name].subject(name, settings.source)


def cost(name: str, arithmetic: Arithmetic, settings: Settings) -> Cost:
    """Certify a network's first test images."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
    architecture = ARCHITECTURES[name]
    subject = architecture.subject(name, settings.source)
    region = parse_range(architecture.perturbation)
    options = CertifyOptions(
        tau=subject.tau, engine=Engine.USN, arithmetic=arithmetic, seconds=settings.limit, limit=settings.images
    )
    started = time.perf_counter()
    queries = certify(subject.pipeline, subject.data, [region], options).queries
    seconds = (time.perf_counter() - started) / len(queries)
    return Cost(
        network=name,
        perturbation=region.label,
        arithmetic=arithmetic.value,
        parameters=sum(weight.numel() for weight in subject.network.parameters()),
        verdicts=dict(Counter(query.verdict.value for query in queries)),
        passes=statistics.median(query.passes for query in queries),
        seconds=seconds,
        largest_range=statistics.mean(query.certified_fraction for query in queries),
        peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    )


def alone(function: Callable[..., Answer], *given: object) -> Answer:
    """Call a function in a new process, whose memory nothing else has used."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *given).result()


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=list(ARCHITECTURES), default=list(ARCHITECTURES))
    parser.add_argument("--images", type=int, default=3)
    parser.add_argument("--limit", type=float, default=120.0, help="seconds a query")
    parser.add_argument("--quick", action="store_true", help="a tenth of the training")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "usn-certify-cost")
    parser.add_argument("--out", type=Path, help="write every line as JSON")
    parser.add_argument("--threads", type=int)
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> list[Cost]:
    asked = arguments(given)
    source = Source(None, asked.cache, 0.1 if asked.quick else 1.0)
    settings = Settings(source, asked.images, asked.limit, asked.threads)
    lines: list[Cost] = []
    for name in asked.networks:
        alone(train, name, settings)
        of_network = [alone(cost, name, arithmetic, settings) for arithmetic in Arithmetic]
        first = of_network[0]
        print(f"\n{name}: {first.parameters:,} parameters, {first.perturbation}, {asked.images} images")
        for line in of_network:
            verdicts = ", ".join(f"{count} {verdict}" for verdict, count in line.verdicts.items())
            print(
                f"  {line.arithmetic:8} {verdicts}; {line.passes:.0f} passes (median), {line.seconds:.1f} s an image, "
                f"largest range {line.largest_range:.2f}, {line.peak / 1e9:.1f} GB"
            )
        print(f"  ratio {of_network[1].seconds / first.seconds:.2f}", flush=True)
        lines += of_network
    if asked.out:
        asked.out.write_text("".join(json.dumps(asdict(line)) + "\n" for line in lines))
    return lines


if __name__ == "__main__":
    main()
