"""Times certification by the product against auto_LiRPA used as its own examples show, on the same queries.

    python examples/benchmarks/certify_speed.py --data DIR --threads 1
    python examples/benchmarks/certify_speed.py --data DIR --quick

DIR holds the fly's train.json, test.json and images/ in COCO keypoint form, as in examples/fly; without it the embedded
aircraft remain. Networks are trained on the first run and kept in ``--cache``. In one process, on the same images:

- ``usn``: `usncli.certifying.certify` with our own engine, as the product does it: images share batches.
- ``uniform``: auto_LiRPA, forward+backward, the fewest equal pieces that suffice; finding out how many is not counted.
- ``bisection``: auto_LiRPA, forward+backward, halving the whole range until all is proved.
- ``lirpa``, only where ``--against`` names it: the product with ``--engine lirpa``, to see that both engines agree.

Uniform cutting and bisection get the product's search for counterexamples first, and its time is added to theirs.
Queries that any strategy finds false are left out of times, pieces and ratios. A query that is not decided in
``--limit`` seconds is unknown and counts with its time. A ratio is the total time of the best of the others over ours.
The time that an engine takes to read a network does not count.

Passes are of the network over one image: for ours they are counted in multiply-adds (see `QueryRecord.passes`); "time
in passes" is the seconds over those of one pass in float32, alone or in a batch of 32, whichever is faster.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from baseline import Baseline
from stock_lirpa import in_plain_layers
from subjects import SUBJECTS, Source, Subject
from torch import nn

from usncli.bounding.method import Engine
from usncli.certifying.certify import certify
from usncli.certifying.options import CertifyOptions
from usncli.certifying.verdicts import QueryRecord, Verdict
from usncli.perturbing import PerturbationRange, parse_range

RANGES = (
    "brightness=0.05",
    "brightness=0.1",
    "brightness=0.2",
    "contrast=0.1",
    "contrast=0.2",
    "brightness=0.05,contrast=0.1",
)
QUICK_RANGES = ("brightness=0.05", "contrast=0.1")
QUICK_NETWORKS = ("aircraft-cnn7", "fly-cnn7")
QUICK_SECONDS = 285.0
BASELINES = ("uniform", "bisection")
DECIDED = (Verdict.CERTIFIED, Verdict.UNKNOWN)


@dataclass(frozen=True)
class Timed:
    """One query by one strategy; see `QueryRecord` for the fields."""

    image: int
    verdict: Verdict
    pieces: int
    seconds: float
    passes: float


@dataclass(frozen=True)
class Row:
    """One network and one range.

    Attributes:
        network, perturbation: names.
        tau: pixels.
        pass_seconds: of one float32 pass of the network over one image.
        strategies: queries by strategy, in the order of the images.
    """

    network: str
    perturbation: str
    tau: float
    pass_seconds: float
    strategies: dict[str, list[Timed]]

    def timed(self, strategy: str) -> list[Timed]:
        """Return a strategy's queries that none of them decided as anything but certified or unknown."""
        together = zip(*self.strategies.values(), strict=True)
        kept = {queries[0].image for queries in together if all(query.verdict in DECIDED for query in queries)}
        return [query for query in self.strategies[strategy] if query.image in kept]

    @property
    def ratio(self) -> float | None:
        """The best other strategy's total time over ours; None where no query is timed."""
        totals = {name: sum(query.seconds for query in self.timed(name)) for name in self.strategies}
        ours = totals.pop("usn")
        return min(totals.values()) / ours if ours else None

    @property
    def conflicts(self) -> int:
        """Number of queries that one strategy certifies and another one falsifies."""
        together = zip(*self.strategies.values(), strict=True)
        return sum(
            {Verdict.CERTIFIED, Verdict.FALSIFIED} <= {query.verdict for query in queries} for queries in together
        )


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the fly's folder; without it the embedded aircraft alone")
    parser.add_argument("--quick", action="store_true", help="two networks, two ranges, two images, within 5 minutes")
    parser.add_argument("--networks", nargs="+", choices=list(SUBJECTS))
    parser.add_argument("--perturb", nargs="+", help="ranges as usn certify has them")
    parser.add_argument("--against", nargs="+", choices=[*BASELINES, "lirpa"], default=list(BASELINES))
    parser.add_argument("--no-clip", action="store_true", help="do not clip perturbed images to [0, 1]")
    parser.add_argument("--images", type=int, help="the first so many of the test images; default 5, quick 2")
    parser.add_argument("--limit", type=float, help="seconds a query and strategy; default 60, quick 15")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "usn-certify-speed")
    parser.add_argument("--effort", type=float, help="share of the usual training; default 1, quick 0.1")
    parser.add_argument("--out", type=Path, help="write every row as a line of JSON")
    parser.add_argument("--threads", type=int)
    parsed = parser.parse_args(given)
    quick = parsed.quick
    parsed.networks = parsed.networks or list(QUICK_NETWORKS if quick else SUBJECTS)
    parsed.perturb = parsed.perturb or list(QUICK_RANGES if quick else RANGES)
    parsed.images = parsed.images or (2 if quick else 5)
    parsed.limit = parsed.limit or (15.0 if quick else 60.0)
    parsed.effort = parsed.effort or (0.1 if quick else 1.0)
    parsed.ends = time.monotonic() + (QUICK_SECONDS if quick else float("inf"))
    return parsed


def pass_seconds(subject: Subject) -> float:
    """Return the seconds of one float32 pass over one image: alone or in a batch, whichever is faster."""
    best = float("inf")
    for batch, repeats in ((1, 15), (32, 3)):
        images = torch.rand(batch, *subject.pipeline.preprocessing.input_shape)
        with torch.no_grad():
            for _ in range(repeats):
                started = time.perf_counter()
                subject.pipeline(images)
                best = min(best, (time.perf_counter() - started) / batch)
    return best


def measure(subject: Subject, region: PerturbationRange, plain: nn.Module, settings: argparse.Namespace) -> Row:
    """Answer all queries of one network and one range; fewer of them where the time of a quick run ends."""
    one = pass_seconds(subject)
    strategies = {"usn": by_product(subject, region, Engine.USN, settings)}
    if "lirpa" in settings.against:
        strategies["lirpa"] = by_product(subject, region, Engine.LIRPA, settings)
    stock = [name for name in BASELINES if name in settings.against]
    baseline = Baseline(subject, region, plain, settings.limit)
    strategies.update({name: [] for name in stock})
    for index in range(len(strategies["usn"]) if stock else 0):
        if index and no_time_left(settings):
            strategies = {name: queries[:index] for name, queries in strategies.items()}
            break
        answers = dict(zip(BASELINES, baseline.answers(index), strict=True))
        for name in stock:
            answer = answers[name]
            strategies[name].append(Timed(index, answer.verdict, answer.pieces, answer.seconds, answer.seconds / one))
    return Row(subject.name, region.label, subject.tau, one, strategies)


def by_product(
    subject: Subject, region: PerturbationRange, engine: Engine, settings: argparse.Namespace
) -> list[Timed]:
    """Answer the queries as the product does."""
    options = CertifyOptions(tau=subject.tau, engine=engine, seconds=settings.limit, limit=settings.images)
    records: tuple[QueryRecord, ...] = certify(subject.pipeline, subject.data, [region], options).queries
    return [
        Timed(index, record.verdict, record.pieces, record.seconds, record.passes)
        for index, record in enumerate(records)
    ]


def no_time_left(settings: argparse.Namespace) -> bool:
    """Say whether another image might outlast a quick run; looking for the number of pieces may take two limits."""
    return time.monotonic() + 4 * settings.limit > settings.ends


def show(row: Row) -> None:
    """Print one row."""
    timed, every = row.timed("usn"), row.strategies["usn"]
    one = row.pass_seconds
    print(f"\n{row.network}, {row.perturbation}, tau {row.tau:g} px of 64; a pass takes {one * 1e3:.2f} ms")
    print(f"  {len(every)} queries, {len(every) - len(timed)} of them false and left out, {row.conflicts} conflicts")
    if timed:
        print(f"  {'':10}{'seconds':>9}{'pieces':>8}{'unknown':>9}{'passes (median)':>17}{'time in passes':>16}")
    for name in row.strategies if timed else ():
        queries = row.timed(name)
        seconds, pieces = sum(query.seconds for query in queries), sum(query.pieces for query in queries)
        unknown = sum(query.verdict == Verdict.UNKNOWN for query in queries)
        passes = f"{statistics.median(query.passes for query in queries):.0f}" if name == "usn" else ""
        in_passes = statistics.median(query.seconds for query in queries) / one
        print(f"  {name:10}{seconds:9.2f}{pieces:8d}{unknown:9d}{passes:>17}{in_passes:16.0f}")
    print("  ratio " + ("none: no query is left" if row.ratio is None else f"{row.ratio:.1f}"), flush=True)


def rows_of(subject: Subject, settings: argparse.Namespace) -> Iterator[Row]:
    """Measure one network over all ranges, for as long as there is time."""
    plain = in_plain_layers(subject.network, torch.full((1, *subject.pipeline.preprocessing.input_shape), 0.5))
    for text in settings.perturb:
        if no_time_left(settings):
            print(f"\n{subject.name}, {text}: left out, no time is left")
        else:
            yield measure(subject, parse_range(text, clip=not settings.no_clip), plain, settings)


def main(given: Sequence[str] | None = None) -> list[Row]:
    settings = arguments(given)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    source, rows = Source(settings.data, settings.cache, settings.effort), list[Row]()
    for name in settings.networks:
        if name.startswith("fly") and settings.data is None:
            print(f"\n{name}: left out, there is no --data")
            continue
        for row in rows_of(SUBJECTS[name](source), settings):
            rows.append(row)
            show(row)
            if settings.out:
                with settings.out.open("a") as file:
                    file.write(json.dumps({**asdict(row), "ratio": row.ratio}) + "\n")
    return rows


if __name__ == "__main__":
    main()
