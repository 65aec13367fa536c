"""Small pipelines of each task, their certificates, and certificates that somebody forged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tiny_pipelines import Data, grey_pipeline
from torch import nn

from usncli.certificates.agreement import CheckedNetwork
from usncli.certificates.issue import issue
from usncli.certificates.lines import Hasher
from usncli.certifying import CertificationRecord, CertifyOptions, certify
from usncli.loading.pipeline import Pipeline
from usncli.perturbing import PerturbationRange, parse_range
from usncli.types import Sample, Task

RANGES = ("brightness=0.05", "brightness=0.04,contrast=0.05", "brightness=0.4")
SIZE = 8
KEYPOINTS = 2


class Issued(NamedTuple):
    """A certificate and what it is about."""

    path: Path
    pipeline: Pipeline
    data: Data
    ranges: tuple[PerturbationRange, ...]
    options: CertifyOptions
    record: CertificationRecord

    @property
    def network(self) -> CheckedNetwork:
        """What the certificate is held against."""
        return CheckedNetwork(self.pipeline)


def pipeline_of(task: Task, seed: int = 0) -> Pipeline:
    """A network with random weights that light moves a little."""
    torch.manual_seed(seed)
    body = [nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()]
    if task == Task.HEATMAPS:
        network = nn.Sequential(*body, nn.Conv2d(4, KEYPOINTS, 1))
    else:
        network = nn.Sequential(*body, nn.Flatten(), nn.Linear(4 * 16, 2 * KEYPOINTS))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter *= 1.5
    return grey_pipeline(network, (SIZE, SIZE), task)


def images_of(task: Task, count: int, seed: int = 3) -> Data:
    """Random images without labels."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.tensor(0) if task == Task.CLASSIFICATION else torch.zeros(0, 3)
    images = [torch.rand(1, SIZE, SIZE, generator=generator) for _ in range(count)]
    samples = [Sample(image, target, f"{place}.png") for place, image in enumerate(images)]
    kind = Task.CLASSIFICATION if task == Task.CLASSIFICATION else Task.KEYPOINTS
    return Data(samples, kind, labelled=False)


def issued(folder: Path, task: Task = Task.KEYPOINTS, images: int = 4) -> Issued:
    """Certify a small pipeline and issue the certificate."""
    pipeline, data = pipeline_of(task), images_of(task, images)
    options = CertifyOptions(tau=2.5 if task == Task.HEATMAPS else 0.06, pieces=300)
    ranges = tuple(parse_range(text) for text in RANGES)
    record = certify(pipeline, data, ranges, options)
    path = folder / f"{task}.jsonl"
    issue(path, pipeline, data, ranges, record, options)
    return Issued(path, pipeline, data, ranges, options, record)


def forge(given: Path, path: Path, change: Callable[[list[dict[str, Any]]], None]) -> Path:
    """Change lines of a certificate and make all of its digests right again, as somebody would who knows the format."""
    lines = [json.loads(line) for line in given.read_text().splitlines()]
    change(lines)
    hasher, counts, written = Hasher(), dict[str, int](), []
    for line in lines:
        if line["kind"] == "end":
            line |= {"lines": hasher.lines, "sha256": hasher.digest, "counts": counts}
        for proof in line.get("proofs", ()):
            counts[proof["verdict"]] = counts.get(proof["verdict"], 0) + 1
        encoded = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        if line["kind"] in ("statement", "image"):
            hasher.add(encoded)
        written.append(encoded)
    path.write_bytes(b"".join(written))
    return path
