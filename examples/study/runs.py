"""One run of the study: train, measure, certify, and write down everything that the tables are built from."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from recipes import RECIPES, STEPS, Recipe
from subjects import SUBJECTS, Subject, first, fit_alone
from torch import nn

from usncli.certifying.certify import certify
from usncli.certifying.options import CertifyOptions
from usncli.certifying.records import CertificationRecord
from usncli.files import write_atomically
from usncli.loading.metrics import error_on_data
from usncli.loading.network_file import load_network
from usncli.loading.pipeline import Pipeline
from usncli.perturbing import parse_range
from usncli.pruning.complexity import measure_complexity
from usncli.pruning.finetune import FinetuneRecord, finetune_prune
from usncli.types import ImageData

UNSTABLE_IMAGES = 2
HISTORY = 10
"""Entries of a run's history that its record keeps, about."""


@dataclass(frozen=True)
class Run:
    """One subject, one recipe, one seed."""

    subject: str
    recipe: str
    seed: int

    @property
    def name(self) -> str:
        """Name of the run, and of its record."""
        return f"{self.subject}-{self.recipe}-{self.seed}"


@dataclass(frozen=True)
class Folders:
    """Where things are.

    Attributes:
        data: the folder that holds the data sets' folders; None leaves the embedded data.
        cache: networks and training progress.
        records: one JSON file a finished run.
    """

    data: Path | None
    cache: Path
    records: Path

    def record(self, run: Run) -> Path:
        """Return where a run's record is or will be."""
        return self.records / f"{run.name}.json"


def carry_out(run: Run, folders: Folders) -> Path:
    """Do a run unless its record is there; a run that was cut short goes on from its last checkpoint."""
    path = folders.record(run)
    if not path.exists():
        subject, recipe = SUBJECTS[run.subject], RECIPES[run.recipe]
        train, held_out = subject.data(folders.data)
        started = time.monotonic()
        pipeline, how = trained(run, subject, recipe, train, folders)
        record = {**asdict(run), "steps": STEPS, "training_seconds": round(time.monotonic() - started, 1)}
        record |= how | measured(pipeline, subject, held_out)
        record["versions"] = {"torch": torch.__version__, "python": platform.python_version()}
        text = json.dumps(record, indent=1) + "\n"
        folders.records.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda temporary: temporary.write_text(text))
    return path


def train_base(name: str, folders: Folders) -> None:
    """Train a subject's base network unless the cache has it."""
    subject = SUBJECTS[name]
    subject.base(subject.data(folders.data)[0], folders.cache)


def trained(
    run: Run, subject: Subject, recipe: Recipe, train: ImageData, folders: Folders
) -> tuple[Pipeline, dict[str, Any]]:
    """Return the network that a recipe makes of the subject's base network, and how it came to be."""
    if recipe.scratch:
        # Of the size that cutting by instability gave with the same seed.
        small, _ = trained(replace(run, recipe="usn"), subject, RECIPES["usn"], train, folders)
        return from_scratch(small, subject, train, run.seed), {}
    base = subject.base(train, folders.cache)
    ranges = [parse_range(text) for text in subject.trained_ranges]
    folder = folders.cache / run.name
    folder.mkdir(parents=True, exist_ok=True)
    finished = finetune_prune(base, train, ranges, recipe.options(subject.augment, run.seed), folder)
    return load_network(finished.path).pipeline, course(finished)


def course(finished: FinetuneRecord) -> dict[str, Any]:
    """Return what the tables need of a run's course: the losses now and then, and which importances were cut."""
    every = max(1, len(finished.history) // HISTORY)
    cut = {group.name: set(group.removed) for group in finished.cut}
    judged: dict[str, list[float]] = {"kept": [], "cut": []}
    for name, values in finished.importances.items():
        for channel, value in enumerate(values):
            judged["cut" if channel in cut.get(name, ()) else "kept"].append(float(f"{value:.4g}"))
    losses = [{name: float(f"{value:.4g}") for name, value in entry.items()} for entry in finished.history[::-every]]
    return {"importances": judged, "history": losses[::-1]}


def from_scratch(pipeline: Pipeline, subject: Subject, train: ImageData, seed: int) -> Pipeline:
    """Forget what a network has learned, and train it for its task as long as the base and its fine-tuning took."""
    torch.manual_seed(seed)
    for layer in pipeline.network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            layer.reset_parameters()
    for parameter in pipeline.parameters():
        parameter.requires_grad_(True)
    fit_alone(pipeline, train, subject, subject.base_steps + STEPS, seed)
    return pipeline.eval()


def measured(pipeline: Pipeline, subject: Subject, held_out: ImageData) -> dict[str, Any]:
    """Return error, size, and what certification says at the subject's tolerance and at the easy one."""
    chosen = first(held_out, subject.images)
    options = CertifyOptions(tau=subject.tau, seconds=subject.seconds, unstable_images=UNSTABLE_IMAGES)
    ranges = [parse_range(text) for text in subject.ranges]
    found = certify(pipeline, chosen, ranges, options)
    easy = replace(options, tau=subject.easy_tau, unstable_images=0)
    compared = [parse_range(text) for text in subject.easy_ranges or subject.trained_ranges]
    return {
        "error": error_on_data(pipeline, held_out),
        **measure_complexity(pipeline)._asdict(),
        "relus": found.relus,
        "unstable": dict(found.unstable_relus),
        "tau": subject.tau,
        "queries": by_range(found),
        "easy_tau": subject.easy_tau,
        "easy_queries": by_range(certify(pipeline, chosen, compared, easy)),
    }


def by_range(record: CertificationRecord) -> dict[str, list[dict[str, Any]]]:
    """Return verdict, passes and seconds of every query, by range, in the order of the images."""
    found: dict[str, list[dict[str, Any]]] = {}
    for query in record.queries:
        entry = {"verdict": query.verdict.value, "passes": query.passes, "seconds": round(query.seconds, 3)}
        found.setdefault(query.perturbation, []).append(entry)
    return found


def planned(subjects: Sequence[str], recipes: Sequence[str], seeds: Sequence[int]) -> list[Run]:
    """Return runs in the order in which they are worth most: every recipe once before any twice."""
    return [Run(subject, recipe, seed) for seed in seeds for subject in subjects for recipe in recipes]
