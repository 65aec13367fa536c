"""Image files with their targets, decoded when asked for and kept in memory as far as a limit allows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from usncli.loading.datasets.images import AS_STORED, Box, read_image, to_array
from usncli.loading.preprocessing import Preprocessing
from usncli.types import Sample, Task


class ImageRecord(NamedTuple):
    """One sample before its image is decoded.

    Attributes:
        path: the file.
        name: how a person finds it in the data set; no two samples share it.
        target: as in `Sample`.
        box: the part of the image to take; all by default.
        orientation: the turn or flip to apply before the box, see `usncli.loading.datasets.images.UPRIGHT`.
        size: width and height of the upright image, where the file was looked at.
    """

    path: Path
    name: str
    target: Tensor
    box: Box | None = None
    orientation: int = AS_STORED
    size: tuple[int, int] | None = None


class Labels(NamedTuple):
    """What the targets of a data set mean; see `usncli.types.ImageData`.

    Attributes:
        task: what is labelled.
        names: class or keypoint names.
        labelled: whether there are labels.
        notes: what a user should know of how the data were read, a line each.
    """

    task: Task
    names: tuple[str, ...] = ()
    labelled: bool = True
    notes: tuple[str, ...] = ()


class ImageFiles:
    """A data set of image files; an `ImageData`.

    Args:
        records: the samples, their files already checked.
        preprocessing: size and colour of the network's input.
        labels: what the targets mean.
        cache_bytes: decoded images are kept up to this many bytes, those first read first.

    Attributes:
        sizes: widths and heights of whole images as stored; a crop out of an image has none.
    """

    def __init__(
        self, records: Sequence[ImageRecord], preprocessing: Preprocessing, labels: Labels, cache_bytes: int
    ) -> None:
        self.task = labels.task
        self.label_names = labels.names
        self.labelled = labels.labelled
        self.notes = labels.notes
        self._records = tuple(records)
        self.sizes = frozenset(record.size for record in records if record.size is not None and record.box is None)
        self._preprocessing = preprocessing
        self._cache: dict[int, NDArray[np.generic]] = {}
        self._free_bytes = cache_bytes

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Sample:
        index = range(len(self))[index]
        record = self._records[index]
        return Sample(to_tensor(self._pixels(index)), record.target, record.name)

    def _pixels(self, index: int) -> NDArray[np.generic]:
        if index in self._cache:
            return self._cache[index]
        record = self._records[index]
        pixels = to_array(read_image(record.path, record.orientation), self._preprocessing, record.box)
        if pixels.nbytes <= self._free_bytes:
            self._free_bytes -= pixels.nbytes
            self._cache[index] = pixels
        return pixels


def to_tensor(pixels: NDArray[np.generic]) -> Tensor:
    """Return pixels as a new float32 tensor in [0, 1].

    Args:
        pixels: ``(channels, height, width)``, uint8, or float32 in [0, 1].
    """
    image = torch.tensor(pixels, dtype=torch.float32)
    return image / 255 if pixels.dtype == np.uint8 else image


def unlabelled_target(task: Task) -> Tensor:
    """Return the target that marks a sample without label: class -1, or keypoints ``(0, 3)``."""
    return torch.tensor(-1) if task == Task.CLASSIFICATION else torch.zeros(0, 3)


def label_task(task: Task) -> Task:
    """Return the task by which labels go: keypoints for heatmap networks too."""
    return Task.CLASSIFICATION if task == Task.CLASSIFICATION else Task.KEYPOINTS
