"""Data in one ``.npz`` file: ``images`` with ``labels`` or ``keypoints``."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from usncli.errors import ConfigurationError, InputError
from usncli.loading.datasets.image_files import Labels, label_task, to_tensor, unlabelled_target
from usncli.loading.datasets.keypoints import keypoint_faults, scaled_target
from usncli.loading.datasets.offenders import refuse
from usncli.loading.datasets.options import DataOptions
from usncli.loading.datasets.pixel_arrays import CHANNELS, image_fault, to_network_input
from usncli.loading.preprocessing import Preprocessing
from usncli.types import Sample, Task

REMEDY = "correct the arrays, then run again"


class ArrayData:
    """Images in memory, resized when asked for; an `ImageData`.

    Args:
        images: ``(images, height, width[, channels])``, uint8 or floating point in [0, 1].
        targets: one an image, as in `Sample`.
        preprocessing: size and colour of the network's input.
        labels: what the targets mean.

    Attributes:
        sizes: width and height of the images as stored.
    """

    def __init__(
        self, images: NDArray[Any], targets: list[Tensor], preprocessing: Preprocessing, labels: Labels
    ) -> None:
        self.task = labels.task
        self.label_names = labels.names
        self.labelled = labels.labelled
        self.notes = labels.notes
        self.sizes = frozenset({(int(images.shape[2]), int(images.shape[1]))})
        self._images = images
        self._targets = targets
        self._preprocessing = preprocessing

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Sample:
        index = range(len(self))[index]
        pixels = to_network_input(self._images[index], self._preprocessing)
        return Sample(to_tensor(pixels), self._targets[index], f"images[{index}]")


def open_arrays(path: Path, preprocessing: Preprocessing, task: Task, options: DataOptions) -> ArrayData:
    """Read an ``.npz`` file; nothing in it is unpickled.

    Arrays: ``images`` ``(N, H, W)`` or ``(N, H, W, C)``, uint8 or floating point in [0, 1]; ``labels`` ``(N,)``,
    integer classes from 0; or ``keypoints`` ``(N, K, 2)`` or ``(N, K, 3)`` in pixels of the images, the third number a
    visibility that is 0 where not labelled; ``label_names``, strings, optional. With neither labels nor keypoints the
    data are unlabelled.

    Raises:
        InputError: no such archive or damaged; arrays missing, of other shapes or types, or out of range.
        ConfigurationError: the file labels another task.
    """
    arrays = _load(path)
    images = arrays.get("images")
    if images is None:
        raise InputError(f"{path}: expected an array 'images', got {', '.join(sorted(arrays)) or 'an empty archive'}")
    _check_images(path, images)
    wanted, other = ("labels", "keypoints") if task == Task.CLASSIFICATION else ("keypoints", "labels")
    if wanted not in arrays:
        if other in arrays:
            instead = "keypoints (or heatmaps)" if other == "keypoints" else "classification"
            raise ConfigurationError(f"{path} holds {other}, not {wanted}: pass --task {instead}, or other data")
        targets = [unlabelled_target(task)] * len(images)
        return ArrayData(images, targets, preprocessing, Labels(label_task(task), labelled=False))
    values = arrays[wanted]
    if len(values.shape) == 0 or len(values) != len(images):
        raise InputError(f"{path}: expected {len(images)} {wanted}, one an image, got shape {values.shape}")
    names = tuple(str(name) for name in np.atleast_1d(arrays.get("label_names", np.array([], dtype=str))))
    if task == Task.CLASSIFICATION:
        targets, names = _classes(path, values, options.class_names or names)
        return ArrayData(images, targets, preprocessing, Labels(Task.CLASSIFICATION, names))
    targets, names = _keypoints(path, values, names, images, preprocessing)
    return ArrayData(images, targets, preprocessing, Labels(Task.KEYPOINTS, names))


def _load(path: Path) -> dict[str, NDArray[Any]]:
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path}: expected an .npz archive: it is something else, or truncated; write it again")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, NotImplementedError) as error:
        reason = " ".join(str(error).split())
        if "pickle" in reason:
            reason = "it holds Python objects, which would run code when loaded; save plain numbers"
        raise InputError(f"{path}: expected an .npz archive of plain arrays: {reason}") from error


def _check_images(path: Path, images: NDArray[Any]) -> None:
    shape_fits = images.ndim == 3 or (images.ndim == 4 and images.shape[3] in CHANNELS)
    if not shape_fits or 0 in images.shape[1:]:
        raise InputError(
            f"{path}: expected images of shape (images, height, width[, 1 to 4 channels]), got {images.shape}"
        )
    if len(images) == 0:
        raise InputError(f"{path}: expected images, found none")
    faults = [f"images[{index}]: {fault}" for index, image in enumerate(images) if (fault := image_fault(image))]
    refuse(path, faults, REMEDY)


def _classes(path: Path, labels: NDArray[Any], names: tuple[str, ...]) -> tuple[list[Tensor], tuple[str, ...]]:
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"{path}: expected labels of shape (images,), integers, got {labels.dtype} {labels.shape}")
    classes = len(names) or int(labels.max()) + 1
    faults = [f"labels[{index}] is {label}" for index, label in enumerate(labels.tolist()) if not 0 <= label < classes]
    refuse(path, faults, f"expected classes from 0 to {classes - 1}")
    return [torch.tensor(int(label)) for label in labels], names or tuple(f"class {index}" for index in range(classes))


def _keypoints(
    path: Path, values: NDArray[Any], names: tuple[str, ...], images: NDArray[Any], preprocessing: Preprocessing
) -> tuple[list[Tensor], tuple[str, ...]]:
    if values.ndim != 3 or values.shape[2] not in (2, 3) or values.shape[1] == 0:
        raise InputError(f"{path}: expected keypoints of shape (images, keypoints, 2 or 3), got {values.shape}")
    if not np.issubdtype(values.dtype, np.floating) and not np.issubdtype(values.dtype, np.integer):
        raise InputError(f"{path}: expected keypoints that are numbers, got {values.dtype}")
    points = values.astype(np.float64)
    if points.shape[2] == 2:
        points = np.concatenate([points, np.full((*points.shape[:2], 1), 2.0)], axis=2)
    names = names or tuple(f"keypoint {index}" for index in range(points.shape[1]))
    if len(names) != points.shape[1]:
        raise InputError(f"{path}: expected {points.shape[1]} label_names, one a keypoint, got {len(names)}")
    height, width = images.shape[1:3]
    faults = [
        fault
        for index, rows in enumerate(points)
        for fault in keypoint_faults(f"images[{index}]", rows, (width, height), names)
    ]
    refuse(path, faults, REMEDY)
    box = (0.0, 0.0, float(width), float(height))
    return [scaled_target(rows, box, preprocessing) for rows in points], names
