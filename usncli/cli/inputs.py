"""From settings to what the stages take: pipeline, images, perturbation ranges."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usncli.cli.invocation import Invocation
from usncli.errors import ConfigurationError, UsnError
from usncli.settings import Source
from usncli.settings.groups import CheckpointSettings, ImageSettings, InputSettings, PerturbationSettings

if TYPE_CHECKING:
    from usncli.loading.checkpoint import CheckpointSource, LoadedCheckpoint
    from usncli.loading.datasets.options import DataOptions
    from usncli.loading.preprocessing import Preprocessing
    from usncli.perturbing import PerturbationRange
    from usncli.types import ImageData


def open_network(invocation: Invocation[Any], device: str) -> LoadedCheckpoint:
    """Load the checkpoint to a device, and say what was done to it on the way.

    Args:
        invocation: of a command whose settings are `InputSettings`.
        device: name of the device.

    Raises:
        InputError: the file is not what it should be.
        ConfigurationError: a setting that its kind of file needs lacks, or is wrong.
    """
    from usncli.loading.checkpoint import load_checkpoint
    from usncli.loading.checkpoints.kinds import CheckpointKind
    from usncli.types import Task

    settings: InputSettings = invocation.settings
    task = None if settings.task is None else Task(settings.task)
    loaded = load_checkpoint(source_of(settings), preprocessing_of(invocation), task)
    for note in loaded.notes:
        invocation.consoles.say(f"{settings.checkpoint}: {note}")
    if loaded.kind != CheckpointKind.USN and not settings.mean and not settings.std:
        invocation.consoles.say("no --mean and --std are given: the network sees images in [0, 1] as they are")
    loaded.pipeline.to(device)
    return loaded


def source_of(settings: CheckpointSettings) -> CheckpointSource:
    """Return where the checkpoint is, and how far it is trusted."""
    from usncli.loading.checkpoint import CheckpointSource

    return CheckpointSource(
        path=settings.checkpoint,
        arch=settings.arch,
        arch_arguments=settings.arch_arg,
        trust_pickle=settings.trust_pickle,
        trusted_sha256=settings.trusted_sha256,
        strict=settings.strict,
    )


def preprocessing_of(invocation: Invocation[Any]) -> Preprocessing | None:
    """Return how images become the network's input.

    Where the checkpoint says it, that holds, but for what a flag, a variable or usn.yaml states (loading refuses what
    differs). Where it does not, the settings say it, and None stands for settings without a size.

    Raises:
        ConfigurationError: a size, a normalisation or units that cannot be.
    """
    from usncli.loading.preprocessing import Colour, KeypointUnits, Preprocessing

    settings: ImageSettings = invocation.settings
    values: dict[str, Any] = {
        "colour": Colour(settings.colour),
        "mean": settings.mean,
        "std": settings.std,
        "keypoint_units": KeypointUnits(settings.keypoint_units),
    }
    if settings.size is not None:
        values |= {"height": settings.size.height, "width": settings.size.width}
    stored = stored_preprocessing(invocation.settings.checkpoint)
    if stored is not None:
        origins = invocation.resolved.origins
        stated = {name for name in values if origins.get(name, origins["size"]).source != Source.DEFAULT}
        return dataclasses.replace(stored, **{name: values[name] for name in stated})
    if settings.size is None:
        return None
    return Preprocessing(**values)


def stored_preprocessing(path: Path) -> Preprocessing | None:
    """Return the preprocessing that a network had when usn wrote or exported it; None for other files."""
    from safetensors import SafetensorError, safe_open

    from usncli.loading.checkpoints.kinds import Container, container_of
    from usncli.loading.checkpoints.onnx_network import read_metadata
    from usncli.loading.checkpoints.settings_in_file import settings_in_onnx
    from usncli.loading.network_file import METADATA_KEY
    from usncli.loading.preprocessing import Preprocessing

    try:
        if container_of(path) == Container.ONNX:
            stored = settings_in_onnx(path, read_metadata(path))
            return None if stored is None else stored.original
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        return Preprocessing.from_record(json.loads(metadata[METADATA_KEY])["preprocessing"])
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, UsnError):
        return None  # another kind of file, or a damaged one, which loading will name


def open_images(location: str, invocation: Invocation[Any], loaded: LoadedCheckpoint) -> ImageData:
    """Open a data set for a network: its size and colour, its task, at most ``--limit`` images.

    Args:
        location: see `usncli.loading.data.open_data`.
        invocation: of a command whose settings are `InputSettings`.
        loaded: the network.

    Raises:
        InputError: files are missing, unreadable or contradict each other.
    """
    from usncli.loading.batching import evenly_spaced, subset
    from usncli.loading.data import open_data

    settings: InputSettings = invocation.settings
    data = open_data(location, loaded.pipeline.preprocessing, loaded.pipeline.task, data_options_of(settings))
    for note in getattr(data, "notes", ()):
        invocation.consoles.say(f"{location}: {note}")
    if settings.limit is not None and settings.limit < len(data):
        return subset(data, evenly_spaced(len(data), settings.limit))
    return data


def data_options_of(settings: ImageSettings) -> DataOptions:
    """Return how images are read.

    Raises:
        ConfigurationError: a class is named twice.
    """
    from usncli.loading.datasets.options import DataOptions

    return DataOptions(
        annotations=settings.annotations, crop_margin=settings.crop_margin, class_names=settings.class_name
    )


def ranges_of(settings: PerturbationSettings) -> tuple[PerturbationRange, ...]:
    """Return the ranges that the settings state.

    Raises:
        ConfigurationError: one is not a range, or is given twice.
    """
    from usncli.perturbing import Pivot, parse_range

    ranges = tuple(parse_range(text, pivot=Pivot(settings.pivot), clip=settings.clip) for text in settings.perturb)
    labels = [item.label for item in ranges]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise ConfigurationError(f"perturb: expected each range once, got {', '.join(twice)} more than once")
    return ranges
