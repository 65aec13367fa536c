"""What checking a certificate costs, beside the certification that issued it: wall time, in one run.

    python examples/benchmarks/check_cost.py --data DIR

Each network is certified, its certificate issued, and then checked by usn's own engine and by auto_LiRPA. DIR is the
fly's folder, as examples/fly describes it. Networks are trained first, unless ``--cache`` has them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from subjects import SUBJECTS, Source, Subject

from usncli.bounding.method import Engine
from usncli.certificates.agreement import CheckedNetwork
from usncli.certificates.check import CheckOptions, check
from usncli.certificates.issue import issue
from usncli.certificates.record import Outcome
from usncli.certifying.certify import certify
from usncli.certifying.options import CertifyOptions
from usncli.loading.batching import evenly_spaced, subset
from usncli.perturbing import parse_range

RANGES: Mapping[str, Sequence[str]] = {
    "fly-cnn7": ("brightness=0.05", "contrast=0.1", "brightness=0.02,contrast=0.05"),
    "aircraft-heatmaps": ("brightness=0.05", "contrast=0.1"),
}


def timed(do: Callable[[], Any]) -> tuple[float, Any]:
    """Return the wall time of a call, and what it returned."""
    started = time.perf_counter()
    found = do()
    return time.perf_counter() - started, found


def compare(name: str, made: Subject, chosen: argparse.Namespace) -> None:
    """Certify, check by each engine, and print times and ratios."""
    data = subset(made.data, evenly_spaced(len(made.data), min(chosen.images, len(made.data))))
    ranges = tuple(parse_range(text) for text in RANGES[name])
    options = CertifyOptions(tau=made.tau, seconds=chosen.seconds)
    certifying, record = timed(lambda: certify(made.pipeline, data, ranges, options))
    counts = ", ".join(f"{count} {verdict}" for verdict, count in record.counts.items() if count)
    print(f"\n{name}, {len(data)} images, {', '.join(RANGES[name])}: {counts}")
    print(f"  certify            {certifying:8.1f} s")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "certificate.jsonl"
        issuing, _ = timed(lambda: issue(path, made.pipeline, data, ranges, record, options))
        print(f"  issue              {issuing:8.1f} s  {path.stat().st_size / len(data) / 1000:.1f} KB an image")
        for engine in map(Engine, chosen.engines):
            how = CheckOptions(engine=engine)
            checking, found = timed(lambda how=how: check(path, CheckedNetwork(made.pipeline), data, how))
            confirmed, wanting = found.count(Outcome.CONFIRMED), found.count(Outcome.UNCONFIRMED)
            print(
                f"  check, {engine:5s}       {checking:8.1f} s  ratio {checking / certifying:.2f}, "
                f"{confirmed} confirmed, {wanting} unconfirmed, {found.pieces} pieces"
            )


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=list(RANGES))
    parser.add_argument("--data", type=Path, help="the fly's folder")
    parser.add_argument("--images", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=60.0, help="budget of a query")
    parser.add_argument("--engines", nargs="+", choices=["usn", "lirpa"], default=["usn", "lirpa"])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "usn-benchmarks")
    chosen = parser.parse_args(given)
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    present = [name for name in RANGES if chosen.data is not None or not name.startswith("fly")]
    for name in chosen.networks or present:
        made = SUBJECTS[name](Source(chosen.data, chosen.cache))
        compare(name, made, chosen)


if __name__ == "__main__":
    main()
