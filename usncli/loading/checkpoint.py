"""Any checkpoint that a user has, as the pipeline that every later stage works on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from usncli.errors import InputError
from usncli.loading.checkpoints.kinds import CheckpointKind, Container
from usncli.loading.checkpoints.opened import (
    CheckpointSource,
    OpenedCheckpoint,
    capture_checkpoint,
    open_checkpoint,
    read_content,
)
from usncli.loading.checkpoints.settings_in_file import StoredSettings, reconcile
from usncli.loading.checkpoints.weights import check_finite
from usncli.loading.network_file import load_network
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Preprocessing
from usncli.types import Task

__all__ = ["CheckpointSource", "LoadedCheckpoint", "load_checkpoint", "make_pipeline"]


@dataclass(frozen=True)
class LoadedCheckpoint:
    """A network ready for every stage.

    Attributes:
        pipeline: its ``network`` is a captured network (see `usncli.loading.capture`), in evaluation mode, on the CPU.
        sha256: hexadecimal hash of the file.
        kind: what the file was.
        notes: what was unwrapped, converted or passed over on the way, one line each.
        record: what usn wrote about how the network came to be; empty for other files.
    """

    pipeline: Pipeline
    sha256: str
    kind: CheckpointKind
    notes: tuple[str, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)


def load_checkpoint(
    source: CheckpointSource, preprocessing: Preprocessing | None, task: Task | None
) -> LoadedCheckpoint:
    """Load a checkpoint of any supported kind; only pickled modules that are trusted run code from the file.

    Args:
        source: the file and how far it is trusted.
        preprocessing: size, colour and normalisation; None only for a file that usn wrote or exported, which states its
            own.
        task: what the network predicts; None only for a file that usn wrote or exported.

    Raises:
        InputError: the file is missing, damaged, not trusted, or does not fit what was said of it.
        ConfigurationError: a setting that this kind of file needs is missing or wrong.
        UnsupportedOperationError: the network cannot be captured.
    """
    opened = open_checkpoint(source)
    if opened.own:
        return _load_own(opened, preprocessing, task)
    if opened.container == Container.PICKLE and (preprocessing is None or task is None):
        read_content(opened)  # that a file is not trusted goes before what else is missing
    reconcile(source.path, opened.stored, preprocessing, task)
    if opened.stored is not None:
        preprocessing, task = opened.stored.preprocessing, opened.stored.task
    assert preprocessing is not None
    assert task is not None
    captured = capture_checkpoint(opened, preprocessing.input_shape)
    pipeline = make_pipeline(source.path, captured.network, preprocessing, task)
    return LoadedCheckpoint(pipeline, opened.sha256, captured.kind, captured.notes)


def make_pipeline(path: Path, network: nn.Module, preprocessing: Preprocessing, task: Task) -> Pipeline:
    """Return the pipeline of a captured network, in evaluation mode, once it has predicted something for a grey image.

    Raises:
        InputError: the task does not fit the outputs, or they are no finite numbers.
    """
    pipeline = Pipeline(network, preprocessing, task).eval()
    image = torch.full((1, *preprocessing.input_shape), 0.5)
    try:
        with torch.no_grad():
            output = pipeline(image)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if not bool(torch.isfinite(output).all()):
        raise InputError(f"{path}: the network returns NaN or infinity for a grey image; check --mean and --std")
    return pipeline


def _load_own(opened: OpenedCheckpoint, preprocessing: Preprocessing | None, task: Task | None) -> LoadedCheckpoint:
    path = opened.source.path
    saved = load_network(path)
    check_finite(path, saved.pipeline.network.state_dict())
    stored = saved.pipeline.preprocessing
    reconcile(path, StoredSettings(stored, saved.pipeline.task, stored), preprocessing, task)
    return LoadedCheckpoint(saved.pipeline, opened.sha256, CheckpointKind.USN, (), saved.record)
