"""Small records of every kind, made by the stages' own record classes, and run folders that hold them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import torch

from usncli.certifying.options import CertifyOptions
from usncli.certifying.records import CertificationRecord, ReluLayer
from usncli.certifying.verdicts import QueryRecord, Verdict
from usncli.exporting import Comparison, ExportRecord, Latency, LatencyRecord, Provider, QueriesRecord
from usncli.gating import EVERY, Gate, Limits, Waiver, baseline_of, judge
from usncli.gating.baseline import Identity
from usncli.pruning.complexity import Complexity
from usncli.pruning.options import Criterion, FinetuneOptions
from usncli.pruning.record import CutGroup, FinetuneRecord
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.image_data import encode
from usncli.reporting.pictures import Picture
from usncli.scoring.groups import UnprunableGroup
from usncli.scoring.options import ScoreOptions
from usncli.scoring.record import GroupScore, ScoreRecord
from usncli.scoring.selection import Overlap

HOSTILE = '<script>alert("x")</script> & $\\frac{ | `a` \x1b[31m.png'
"""A name that breaks whatever does not escape: HTML, formulas, Markdown, terminals and XML."""

NAN, INFINITE = float("nan"), float("inf")


def score_record() -> dict[str, Any]:
    stem = GroupScore(
        "stem", ("stem",), (0.1, 0.2), (0.1, 0.2), (0.5, INFINITE), (0.05, NAN), (0.4, 0.0), (0.02, NAN), (1,), (1,)
    )
    deep = GroupScore(
        "encoder.blocks.0.convolution",
        ("encoder.blocks.0.convolution",),
        (0.1, 0.2, 0.1),
        (0.1, 0.2, 0.1),
        (0.25, 0.125, 1.0),
        (0.01, 0.01, 0.1),
        (0.7, 0.85, 0.25),
        (0.01, 0.01, 0.01),
        (),
        (),
    )
    record = ScoreRecord(
        perturbation="brightness=0.1",
        options=ScoreOptions(ratio=0.2),
        images=123,
        thetas=8,
        median=0.25,
        groups=(stem, deep),
        unprunable=(UnprunableGroup("head", ("head",), "the network's outputs"),),
        overlap_images=Overlap(0.8125, 0.875),
        overlap_thetas=None,
    )
    return {"kind": "score", **record.to_record()}


def finetune_record(error_after: float | None = 1.95) -> dict[str, Any]:
    record = FinetuneRecord(
        path=Path("pruned.safetensors"),
        options=FinetuneOptions(ratio=0.2, criterion=Criterion.USN).to_record(),
        perturbations=("brightness=0.1",),
        error_unit="px",
        error_before=None if error_after is None else 1.87,
        error_after=error_after,
        complexity_before=Complexity(289968, 21500000),
        complexity_after=Complexity(190233, 13900000),
        rho=0.2,
        reached=0.2,
        note="",
        steps=600,
        chosen_step=600,
        evaluations=(),
        seconds=71.2,
        history=tuple({"step": step, "loss": 1 / step, "error": 9 / step, "rho": 0.2} for step in (1, 2, 3)),
        cut=(CutGroup("stem", ("stem",), 16, (1, 2, 3, 4)), CutGroup("head.0", ("head.0",), 64, ())),
        importances={"stem": (0.9, *(0.1,) * 4, *(0.8,) * 11), "head.0": (0.7,) * 64},
        unprunable=(),
        fingerprint="0" * 64,
    )
    return {"kind": "finetune-prune", **json.loads(json.dumps(record.to_record(), default=str))}


def queries(image: str = "images/0001.png") -> tuple[QueryRecord, ...]:
    bright, joint = "brightness=0.1", "brightness=0.05,contrast=0.8:1.3"
    proved = {"certified_lower": (-0.05,), "certified_upper": (0.1,)}
    return (
        QueryRecord(image, 0, bright, Verdict.CERTIFIED, 0.25, 0.5, 12, 150.5, 1.5, 1.0, (-0.1,), (0.1,)),
        QueryRecord(image, 0, joint, Verdict.FALSIFIED, -0.125, 0.5, 7, 70.0, 0.25, 0.5, witness=(0.0123, 1.2345)),
        QueryRecord("images/0002.png", 1, bright, Verdict.UNKNOWN, 0.01, 0.5, 999, 12000.0, 60.0, 0.75, **proved),
        QueryRecord("images/0002.png", 1, joint, Verdict.MISCLASSIFIED, -1.0, -1.0),
        QueryRecord("images/0003.png", 2, bright, Verdict.ERROR, message="ZeroDivisionError: division by zero"),
        QueryRecord(
            "images/0003.png", 2, joint, Verdict.CERTIFIED, 0.5, 0.5, 3, 30.0, 0.75, 1.0, (0.0, 0.8), (0.1, 1.3)
        ),
    )


def certify_record(
    found: tuple[QueryRecord, ...] | None = None, claim: str = "what certified claims"
) -> dict[str, Any]:
    unstable = {"brightness=0.1": 252.0, "brightness=0.05,contrast=0.8:1.3": 301.5}
    settings = {**CertifyOptions(tau=1.0).to_record(), "ranges": list(unstable)}
    layers = (
        ReluLayer("blocks.0.norm", 100000, {label: value - 100.5 for label, value in unstable.items()}),
        ReluLayer("hidden", 24000, dict.fromkeys(unstable, 100.5)),
    )
    said = queries() if found is None else found
    record = CertificationRecord(said, settings, "f" * 64, claim, unstable, 124000, layers)
    return {"kind": "certify", **record.to_record()}


def export_record() -> dict[str, Any]:
    record = ExportRecord(
        path="releases/pose.onnx",
        sha256="5f" * 32,
        file_bytes=790112,
        parameters=190233,
        opset=18,
        preprocessing_included=True,
        input_shape=(3, 64, 64),
        output_name="keypoints",
        output_shape=(8, 2),
        comparisons=(Comparison(Provider.CPU, 1, 3e-6), Comparison(Provider.CPU, 16, 7.6e-6)),
        tolerance=1e-3,
        metadata={"version": "0.1.0", "task": "keypoints"},
        seconds=3.0,
        vnnlib=QueriesRecord("releases/queries", "1.0", 5, 3, 2370300, 7.6e-6, ("0007.png: no keypoint is visible",)),
        latency=LatencyRecord(
            "dense.pt",
            "cd" * 32,
            Complexity(400000, 30_000_000),
            Complexity(190233, 12_000_000),
            1,
            41,
            (Latency(1, 0.004, 0.002), Latency(16, 0.05, 0.0265)),
        ),
    )
    return {"kind": "export", **record.to_record()}


RECORDS = {
    "score": score_record,
    "finetune-prune": finetune_record,
    "certify": certify_record,
    "export": export_record,
}


def gate_of(record: dict[str, Any], limit: float | None) -> Gate | None:
    limits = Limits() if limit is None else Limits({EVERY: limit})
    return judge(CertificationRecord.from_record(record), limits, today=date(2026, 11, 22))


def manifest(command: str, model: str = "ab" * 32) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "command": command,
        "command_line": ["usn", command, "a model.pt", "--data", "images"],
        "settings": {"seed": {"value": 3, "origin": "default"}},
        "inputs": {"model": {"location": "a model.pt", "sha256": model}},
        "versions": {"python": "3.11.7", "usncli": "0.1.0"},
        "seed": 3,
        "device": "cpu",
        "dtype": "float32",
        "start": "2026-11-21T19:20:00.123+00:00",
        "seconds": 93.5,
    }


def many_queries(images: int) -> tuple[QueryRecord, ...]:
    """Two perturbations an image, of all verdicts but certified, with names and numbers that do not compress well."""
    bright, dark = "brightness=0.1", "contrast=0.8:1.2"
    found = []
    for index in range(images):
        image = f"images/{hashlib.sha256(str(index).encode()).hexdigest()}.png"
        margin = -(index % 977) / 977
        found.append(
            QueryRecord(image, index, bright, Verdict.FALSIFIED, margin, 0.5, 7, 70.0, 0.25, witness=(margin,))
        )
        if index % 3:
            found.append(QueryRecord(image, index, dark, Verdict.UNKNOWN, 0.01, 0.5, 999, 12000.0 + index, 60.0, 0.75))
        else:
            found.append(QueryRecord(image, index, dark, Verdict.ERROR, message=f"ValueError: {image}"))
    return tuple(found)


def picture(image: str = "images/0001.png") -> Picture:
    clean = torch.linspace(0, 1, 3 * 8 * 6).reshape(3, 8, 6)
    return Picture(
        image=image,
        perturbation="brightness=0.1",
        verdict="falsified",
        theta="brightness -0.08",
        clean=encode(clean),
        perturbed=encode((clean - 0.08).clamp(0, 1)),
        width=6,
        height=8,
        reference=((1.0, 2.0), (4.0, 5.0)),
        moved=((1.5, 2.0), (4.0, 8.25)),
        tau=1.0,
    )


def judged_run(name: str, record: dict[str, Any], limit: float | None) -> FinishedRun:
    """Return a certification with what the gate says of it."""
    return FinishedRun(name, record, manifest("certify"), gate=gate_of(record, limit))


def compared_run(
    lost: Sequence[str] = (),
    missing: Sequence[str] = (),
    limit: float | None = None,
    waivers: tuple[Waiver, ...] = (),
    images: int = 8,
) -> FinishedRun:
    """Return a certification of images ``000.png`` and on, held against a baseline that certified all of them.

    Args:
        lost: images that are falsified now.
        missing: names that only the baseline has.
        limit: of the certified rate.
        waivers: of the baseline.
        images: how many there are.
    """
    label, names = "brightness=0.1", [f"{index:03}.png" for index in range(images)]

    def record(failing: Sequence[str], known: Sequence[str]) -> CertificationRecord:
        found = (
            QueryRecord(name, index, label, Verdict.FALSIFIED, -0.5, witness=(0.08,))
            if name in failing
            else QueryRecord(name, index, label, Verdict.CERTIFIED, 0.5, certified_fraction=1.0)
            for index, name in enumerate(known)
        )
        return CertificationRecord(tuple(found), {"ranges": [label]}, "f" * 64, "what certified claims", {}, 10)

    told = manifest("certify") | {"identity": {"inputs": {}, "settings": {}, "version": "0.1.0"}}
    baseline = baseline_of(record((), [*names, *missing]), told, waivers)
    limits, now = Limits() if limit is None else Limits({EVERY: limit}), record(lost, names)
    gate = judge(now, limits, baseline, Identity.of_manifest(told), today=date(2026, 11, 22))
    return FinishedRun("candidate", {"kind": "certify", **now.to_record()}, told, gate=gate)


def run_of(kind: str, **values: Any) -> FinishedRun:
    return FinishedRun(f"run-{kind}", RECORDS[kind](), manifest(kind), **values)


def write_run(folder: Path, record: dict[str, Any], told: dict[str, Any] | None = None) -> Path:
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(json.dumps(record, allow_nan=False))
    (folder / "manifest.json").write_text(json.dumps(told or manifest(record["kind"])))
    return folder
