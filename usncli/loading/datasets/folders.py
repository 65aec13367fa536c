"""A folder a class, and plain folders of images."""

from __future__ import annotations

from pathlib import Path

import torch

from usncli.errors import ConfigurationError, InputError
from usncli.loading.datasets.image_files import ImageFiles, ImageRecord, Labels, label_task, unlabelled_target
from usncli.loading.datasets.images import check_image_file
from usncli.loading.datasets.offenders import refuse
from usncli.loading.datasets.options import DataOptions
from usncli.loading.preprocessing import Preprocessing
from usncli.types import Task

BESIDE_IMAGES = frozenset(
    {
        ".cfg",
        ".csv",
        ".db",
        ".html",
        ".ini",
        ".json",
        ".license",
        ".md",
        ".rst",
        ".toml",
        ".tsv",
        ".txt",
        ".xml",
        ".yaml",
        ".yml",
        ".zip",
    }
)
"""Endings of files that may lie beside images and are passed over; any other file must be an image."""

REMEDY = "replace or remove each, then run again"


def open_class_folder(folder: Path, preprocessing: Preprocessing, options: DataOptions) -> ImageFiles:
    """Read a folder a class; the classes are the folders' names in sorted order, or `DataOptions.class_names`.

    An empty class folder is a class without images. Hidden files and folders are passed over.

    Args:
        folder: holds one folder a class, each with the images of that class and no folders.
        preprocessing: size and colour of the network's input.
        options: class names and the size of the cache.

    Raises:
        InputError: files that are no whole images, folders in a class folder, images beside the class folders, only one
            class, or no images.
        ConfigurationError: a folder that `DataOptions.class_names` does not name.
    """
    present = tuple(child.name for child in visible(folder) if child.is_dir())
    classes = options.class_names or present
    strangers = [name for name in present if name not in classes]
    if strangers:
        raise ConfigurationError(
            f"{folder}: the class names do not hold {', '.join(strangers[:3])}, which are folders there; "
            "name all classes, or none to take the folders' sorted names"
        )
    if len(classes) < 2:
        raise InputError(f"{folder}: expected a folder a class, two or more, got only {', '.join(present)}")
    loose = image_paths(folder)
    nested = [child for name in present for child in visible(folder / name) if child.is_dir()]
    refuse(folder, [f"{path.name} lies beside the class folders" for path in loose], "move each into its class")
    refuse(
        folder,
        [f"{path.relative_to(folder)} is a folder inside a class folder" for path in nested],
        "pass the folder whose folders hold images, such as one split of the data",
    )
    records = [
        ImageRecord(path, f"{name}/{path.name}", torch.tensor(classes.index(name)))
        for name in present
        for path in image_paths(folder / name)
    ]
    records = _checked(folder, records)
    return ImageFiles(records, preprocessing, Labels(Task.CLASSIFICATION, classes), options.cache_bytes)


def open_plain_folder(folder: Path, preprocessing: Preprocessing, task: Task, options: DataOptions) -> ImageFiles:
    """Read the images of a folder, sorted by name, without labels.

    Raises:
        InputError: files that are no whole images, or no images.
    """
    target = unlabelled_target(task)
    records = [ImageRecord(path, path.name, target) for path in image_paths(folder)]
    records = _checked(folder, records)
    return ImageFiles(records, preprocessing, Labels(label_task(task), labelled=False), options.cache_bytes)


def visible(folder: Path) -> list[Path]:
    """Return what lies in a folder and is not hidden, sorted by name."""
    return sorted(child for child in folder.iterdir() if not child.name.startswith("."))


def image_paths(folder: Path) -> list[Path]:
    """Return the files of a folder that should be images: all but hidden ones and `BESIDE_IMAGES`."""
    return [path for path in visible(folder) if not path.is_dir() and path.suffix.lower() not in BESIDE_IMAGES]


def _checked(folder: Path, records: list[ImageRecord]) -> list[ImageRecord]:
    """Return the records with the size and orientation that their files state."""
    if not records:
        raise InputError(f"{folder}: expected images, found none")
    checked, offenders = [], []
    for record in records:
        try:
            facts = check_image_file(record.path)
            checked.append(record._replace(orientation=facts.orientation, size=facts.upright))
        except InputError as error:
            offenders.append(f"{record.name}: {error}")
    refuse(folder, offenders, REMEDY)
    return checked
