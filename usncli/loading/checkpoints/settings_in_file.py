"""Preprocessing and task that a file states itself, and what was said on the command line beside it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from usncli.errors import ConfigurationError, InputError
from usncli.loading.preprocessing import KeypointUnits, Preprocessing
from usncli.types import Task

ONNX_PREFIX = "usn."
"""Keys of ours in an ONNX file's metadata begin so."""


class StoredSettings(NamedTuple):
    """What a file states.

    Attributes:
        preprocessing: what the pipeline must do before and after the file's network.
        task: what the network predicts.
        original: the preprocessing that the network was trained with: another one where the graph contains it.
    """

    preprocessing: Preprocessing
    task: Task
    original: Preprocessing


def settings_in_onnx(path: Path, metadata: Mapping[str, str]) -> StoredSettings | None:
    """Return the settings in the metadata of an ONNX file that usn exported; None for another tool's file.

    Where the graph contains the normalisation, what is left to do is none, and keypoints come in the units stated.

    Raises:
        InputError: our keys are there, but not what they should be.
    """
    if f"{ONNX_PREFIX}preprocessing" not in metadata:
        return None
    try:
        original = Preprocessing.from_record(json.loads(metadata[f"{ONNX_PREFIX}preprocessing"]))
        task = Task(metadata[f"{ONNX_PREFIX}task"])
        included = json.loads(metadata.get(f"{ONNX_PREFIX}preprocessing_included", "false"))
        units = KeypointUnits(metadata.get(f"{ONNX_PREFIX}keypoint_units", original.keypoint_units))
    except (KeyError, ValueError, TypeError, ConfigurationError) as error:
        raise InputError(
            f"{path}: its metadata does not describe a network of usn ({error}); export it again"
        ) from error
    left = dataclasses.replace(original, keypoint_units=units)
    if included:
        left = dataclasses.replace(left, mean=(0.0,), std=(1.0,))
    return StoredSettings(left, task, original)


def reconcile(
    path: Path, stored: StoredSettings | None, preprocessing: Preprocessing | None, task: Task | None
) -> None:
    """Check settings that were given against those of the file.

    Args:
        path: the file, for messages.
        stored: what the file states, None if it states nothing.
        preprocessing: what was given, None if nothing was.
        task: what was given, None if nothing was.

    Raises:
        InputError: what was given differs from what the file states.
        ConfigurationError: nothing was given, and the file states nothing.
    """
    if stored is None:
        if preprocessing is None:
            raise ConfigurationError(
                f"{path}: does not say which images it takes; set --size, --colour, --mean and --std"
            )
        if task is None:
            raise ConfigurationError(f"{path}: does not say what it predicts; set --task to {', '.join(Task)}")
        return
    differences = []
    if preprocessing is not None and preprocessing not in (stored.preprocessing, stored.original):
        given, known = preprocessing.to_record(), stored.original.to_record()
        differences = [
            f"{name} {given[name]} (the file says {known[name]})" for name in known if given[name] != known[name]
        ]
    if task is not None and task != stored.task:
        differences.append(f"task {task} (the file says {stored.task})")
    if differences:
        raise InputError(
            f"{path}: the settings differ from what the network was made for: {', '.join(differences)}; leave them out"
        )
