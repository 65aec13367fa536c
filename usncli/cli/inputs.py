"""From settings to what the stages take: pipeline, images, perturbation ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usncli.cli.console import Consoles
from usncli.errors import ConfigurationError
from usncli.settings.groups import InputSettings, PerturbationSettings

if TYPE_CHECKING:
    from usncli.loading.checkpoint import LoadedCheckpoint
    from usncli.loading.preprocessing import Preprocessing
    from usncli.perturbing import PerturbationRange
    from usncli.types import ImageData, Task


def preprocessing_of(settings: InputSettings) -> Preprocessing | None:
    """Return the preprocessing that the settings state, None where they state no size: the checkpoint must know then.

    Raises:
        ConfigurationError: a size, a normalisation or units that cannot be.
    """
    from usncli.loading.preprocessing import Colour, KeypointUnits, Preprocessing

    if settings.size is None:
        return None
    return Preprocessing(
        height=settings.size.height,
        width=settings.size.width,
        colour=Colour(settings.colour),
        mean=settings.mean,
        std=settings.std,
        keypoint_units=KeypointUnits(settings.keypoint_units),
    )


def task_of(settings: InputSettings) -> Task | None:
    """Return the task that the settings state, None where the checkpoint must know it."""
    from usncli.types import Task

    return None if settings.task is None else Task(settings.task)


def open_network(settings: InputSettings, consoles: Consoles, device: str) -> LoadedCheckpoint:
    """Load the checkpoint to a device, and say what was done to it on the way.

    Raises:
        InputError: the file is not what it should be.
        ConfigurationError: a setting that its kind of file needs lacks, or is wrong.
    """
    from usncli.loading.checkpoint import CheckpointSource, load_checkpoint

    source = CheckpointSource(
        path=settings.checkpoint,
        arch=settings.arch,
        arch_arguments=settings.arch_arg,
        trust_pickle=settings.trust_pickle,
        trusted_sha256=settings.trusted_sha256,
        strict=settings.strict,
    )
    loaded = load_checkpoint(source, preprocessing_of(settings), task_of(settings))
    for note in loaded.notes:
        consoles.say(f"{settings.checkpoint}: {note}")
    loaded.pipeline.to(device)
    return loaded


def open_images(location: str, settings: InputSettings, loaded: LoadedCheckpoint, consoles: Consoles) -> ImageData:
    """Open a data set for a network: its size and colour, its task, at most ``--limit`` images.

    Raises:
        InputError: files are missing, unreadable or contradict each other.
    """
    from usncli.loading.batching import subset
    from usncli.loading.data import open_data
    from usncli.loading.datasets.options import DataOptions

    options = DataOptions(
        annotations=settings.annotations, crop_margin=settings.crop_margin, class_names=settings.class_name
    )
    data = open_data(location, loaded.pipeline.preprocessing, loaded.pipeline.task, options)
    for note in getattr(data, "notes", ()):
        consoles.say(f"{location}: {note}")
    if settings.limit is not None and settings.limit < len(data):
        return subset(data, range(settings.limit))
    return data


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
