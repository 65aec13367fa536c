"""A run with everything that a page can show, over any number of images."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import torch
from report_samples import HOSTILE, certify_record, manifest, picture

from usncli.certifying.records import CertificationRecord
from usncli.certifying.verdicts import QueryRecord, Verdict
from usncli.gating import EVERY, Limits, Waiver, baseline_of, judge
from usncli.gating.baseline import Identity
from usncli.reporting.counterexamples import BYTES, SIDE, THUMBNAIL_BYTES, THUMBNAIL_SIDE
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.image_data import encode_within
from usncli.reporting.pictures import Picture

RANGES = ("brightness=0.05", "brightness=0.1", "brightness=0.05,contrast=0.8:1.3")
CYCLE = (Verdict.FALSIFIED, Verdict.CERTIFIED, Verdict.FALSIFIED, Verdict.UNKNOWN, Verdict.CERTIFIED, Verdict.FALSIFIED)
"""Verdicts of images, one after the other; of the first range all but the first are one step better."""
KEYPOINTS = 32


def name_of(index: int) -> str:
    return HOSTILE if index == 1 else f"images/flight-2031/frame-{index:06}.png"


def found(images: int, ranges: tuple[str, ...]) -> tuple[QueryRecord, ...]:
    queries = []
    for index in range(images):
        for place, label in enumerate(ranges):
            verdict = CYCLE[(index + place) % len(CYCLE)]
            theta = tuple(0.04 + index * 1e-5 for _ in label.split(","))
            scale = {Verdict.CERTIFIED: 1.0}.get(verdict, (index % 50) / 51)
            known = {"margin": -0.5 + index / images, "seconds": 1.5, "certified_fraction": scale}
            failing = {"witness": theta, "falsified_scale": min(1.0, 1.04 * scale + 0.01)}
            known |= failing if verdict == Verdict.FALSIFIED else {}
            queries.append(QueryRecord(name_of(index), index, label, verdict, certified_scale=scale, **known))
    crashed = QueryRecord(name_of(images), images, ranges[0], Verdict.ERROR, message="ValueError: no such thing")
    wrong = QueryRecord(name_of(images + 1), images + 1, ranges[0], Verdict.MISCLASSIFIED, -1.0, -1.0)
    return (*queries, crashed, wrong)


def pictures_of(queries: tuple[QueryRecord, ...], most: int, side: int) -> tuple[Picture, ...]:
    """Noise, which compresses worst, and many keypoints."""
    generator = torch.Generator().manual_seed(0)
    noise = encode_within(torch.rand(3, side, side, generator=generator), SIDE, BYTES)
    points = tuple((float(x), float(y)) for x, y in (side * torch.rand(KEYPOINTS, 2, generator=generator)).tolist())
    failing = [query for query in queries if query.verdict == Verdict.FALSIFIED]
    return tuple(
        replace(
            picture(query.image),
            perturbation=query.perturbation,
            clean=noise,
            perturbed=noise,
            width=side,
            height=side,
            reference=points,
            moved=points[::-1],
        )
        for query in failing[:most]
    )


def showcase_run(images: int, ranges: tuple[str, ...] = RANGES, side: int = 64, most: int = 60) -> FinishedRun:
    """Return a certification with thumbnails and pictures of noise, a failed gate, lost images and waivers."""
    queries = found(images, ranges)
    record = certify_record(queries)
    record["settings"]["ranges"] = list(ranges)
    generator = torch.Generator().manual_seed(1)
    thumbnail = encode_within(torch.rand(3, side, side, generator=generator), THUMBNAIL_SIDE, THUMBNAIL_BYTES)
    told = manifest("certify") | {"identity": {"inputs": {}, "settings": {}, "version": "0.1.0"}}
    before = CertificationRecord.from_record(
        certify_record(tuple(replace(query, verdict=Verdict.CERTIFIED) for query in queries))
    )
    waivers = (
        Waiver(image=name_of(0), reason="headlight in the lens, ticket 7", expires=date(2027, 3, 31)),
        Waiver(image=name_of(3), perturbation=ranges[0], reason="relabelled", expires=date(2026, 1, 31)),
    )
    gate = judge(
        CertificationRecord.from_record(record),
        Limits({EVERY: 0.9}),
        baseline_of(before, told, waivers),
        Identity.of_manifest(told),
        date(2026, 11, 22),
    )
    thumbnails = dict.fromkeys(range(images), thumbnail)
    return FinishedRun("candidate", record, told, pictures_of(queries, most, side), gate=gate, thumbnails=thumbnails)
