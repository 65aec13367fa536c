"""Is what ships what was certified? Verdicts tried on the exported file, and queries of other verifiers read back.

    python examples/benchmarks/shipped.py --data DIR

Each network is certified, exported bound to its certificate, and checked as a third party would: proved anew on the
network read from the ONNX file, which onnxruntime then runs at ``--samples`` thetas of every certified query and at
every witness. Then every query is written for other verifiers; the files are hashed, parsed by the registry's
``vnnlib``, and run by onnxruntime; margins and the violated set are compared with ours. DIR is the fly's folder, as
examples/fly describes it. Networks are trained first, unless ``--cache`` has them. Exit code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import vnnlib.compat
from subjects import SUBJECTS, Source, Subject

from usncli.bounding.method import Engine
from usncli.certificates.agreement import CheckedNetwork
from usncli.certificates.check import CheckOptions, check
from usncli.certificates.issue import issue
from usncli.certifying.certify import certify
from usncli.certifying.claims import make_claim
from usncli.certifying.options import CertifyOptions
from usncli.exporting import QueryOptions, VnnlibVersion, export_queries, run_onnx, session
from usncli.exporting.export import export
from usncli.exporting.replay import replay
from usncli.files import sha256_of_file
from usncli.loading.batching import evenly_spaced, subset
from usncli.loading.checkpoint import CheckpointSource, load_checkpoint
from usncli.perturbing import PerturbationRange, parse_range
from usncli.types import ImageData

RANGES: Mapping[str, Sequence[str]] = {
    "fly-cnn7": ("brightness=0.05", "contrast=0.1", "brightness=0.3"),
    "aircraft-heatmaps": ("brightness=0.05", "contrast=0.1", "brightness=0.3"),
}
"""The last one is wide, so that there are witnesses, too."""
TOLERANCE = 1e-4
"""Of margins: PyTorch's network of the image against onnxruntime's of theta."""
THETAS = 200
"""A query, at which margins are compared."""


def shipped_verdicts(
    made: Subject, data: ImageData, ranges: Sequence[PerturbationRange], seconds: float, samples: int
) -> bool:
    """Certify, export, check on the file, and say whether all was confirmed."""
    options = CertifyOptions(tau=made.tau, seconds=seconds)
    record = certify(made.pipeline, data, ranges, options)
    print("  " + ", ".join(f"{count} {verdict}" for verdict, count in record.counts.items() if count))
    with tempfile.TemporaryDirectory() as folder:
        certificate, onnx = Path(folder) / "certificate.jsonl", Path(folder) / "network.onnx"
        issue(certificate, made.pipeline, data, ranges, record, options)
        images = torch.stack([data[index].image for index in range(len(data))])
        exported = export(made.pipeline, onnx, images, bind_to=certificate)
        read = load_checkpoint(CheckpointSource(onnx), made.pipeline.preprocessing, made.pipeline.task).pipeline
        network = CheckedNetwork(read, exported.sha256)
        found = check(certificate, network, data, CheckOptions(engine=Engine.USN))
        found = replay(found, onnx, read, data, samples)
    confirmed = "all confirmed" if found.confirmed else "NOT CONFIRMED"
    print(f"  on the ONNX file: {confirmed}; {found.replayed:,} images run by onnxruntime")
    for finding in found.findings:
        if finding.reason is not None:
            print(f"    {finding.outcome}: {finding.image}, {finding.perturbation}: {finding.reason}")
    return found.confirmed


def read_back(made: Subject, data: ImageData, ranges: Sequence[PerturbationRange]) -> bool:
    """Write the queries of other verifiers, read them back, and say whether they ask what we certify."""
    options, regions = CertifyOptions(tau=made.tau), {region.label: region for region in ranges}
    largest, wrong, files = 0.0, 0, set[str]()
    generator = torch.Generator().manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        record = export_queries(made.pipeline, data, ranges, folder, QueryOptions(options, VnnlibVersion.V2))
        for row in csv.DictReader((folder / "queries.csv").open(encoding="utf-8", newline="")):
            files |= {row["onnx"], row["vnnlib"]}
            hashes = all(row[f"{kind}_sha256"] == sha256_of_file(folder / row[kind]) for kind in ("onnx", "vnnlib"))
            sample, region = data[int(row["index"])], regions[row["range"]]
            lower, upper = region.corners()
            shares = torch.rand(THETAS, region.dimension, generator=generator, dtype=torch.float64)
            theta = torch.cat([region.vertices(), lower + shares * (upper - lower)]).float()
            claim = make_claim(made.pipeline, sample, options, labelled=data.labelled)
            with torch.no_grad():
                predicted = made.pipeline(region.perturbation.expand(sample.image[None], theta))
            opened = session(folder / row["onnx"])
            outputs = torch.cat([run_onnx(opened, point[None]) for point in theta])
            ours, theirs = claim.margins(predicted), claim.margins(outputs.reshape(predicted.shape))
            largest = max(largest, float((ours - theirs).abs().max()))
            (case,) = vnnlib.compat.transform_to_compat(vnnlib.parse_query_file(str(folder / row["vnnlib"])))
            violated = torch.zeros(len(theta), dtype=torch.bool)
            for part in case.output_constraints:
                matrix, bound = (torch.tensor(each, dtype=torch.float64) for each in (part.coeff_matrix, part.rhs))
                violated |= (outputs.double() @ matrix.T <= bound.flatten()).all(dim=1)
            clear = ours.abs() > TOLERANCE
            agree = torch.equal(violated[clear], (ours < 0)[clear])
            box = [tuple(ends) for ends in case.input_box] == list(zip(region.lower, region.upper, strict=True))
            wrong += not (hashes and agree and box)
    print(
        f"  for other verifiers: {record.queries} queries in {len(files)} files, {wrong} of them wrong; "
        f"margins differ by at most {largest:.1e}"
    )
    return not wrong and largest <= TOLERANCE


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=list(RANGES))
    parser.add_argument("--data", type=Path, help="the fly's folder")
    parser.add_argument("--images", type=int, default=30)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=60.0, help="budget of a query")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "usn-benchmarks")
    chosen = parser.parse_args(given)
    present = [name for name in RANGES if chosen.data is not None or not name.startswith("fly")]
    holds = True
    for name in chosen.networks or present:
        made = SUBJECTS[name](Source(chosen.data, chosen.cache))
        data = subset(made.data, evenly_spaced(len(made.data), min(chosen.images, len(made.data))))
        ranges = [parse_range(text) for text in RANGES[name]]
        print(f"{name}, {len(data)} images, {', '.join(RANGES[name])}", flush=True)
        holds &= shipped_verdicts(made, data, ranges, chosen.seconds, chosen.samples)
        holds &= read_back(made, data, ranges)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
