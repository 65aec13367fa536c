"""Training images held in memory, decoded once, so that the training loop only gathers rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from usncli.errors import InputError
from usncli.loading.batching import collate
from usncli.progress import ProgressCallback, ProgressUpdate, silent
from usncli.types import Batch, ImageData, Sample, Task

MEMORY_LIMIT = 2**30
"""Bytes of decoded images beyond which they are read again for every batch."""


@dataclass
class TrainingImages:
    """A data set as the training loop reads it; itself an `usncli.types.ImageData`.

    Attributes:
        data: where the samples come from.
        device: where batches are needed.
        held: all samples as one batch on that device; none where they are too many.
    """

    data: ImageData
    device: torch.device
    held: Batch | None

    def __post_init__(self) -> None:
        """Take over what the data say of themselves."""
        self.task: Task = self.data.task
        self.label_names: tuple[str, ...] = self.data.label_names
        self.labelled: bool = self.data.labelled

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.data)

    def __getitem__(self, index: int) -> Sample:
        """Return one sample, on the device where it is held."""
        if self.held is None:
            return self.data[index]
        return Sample(self.held.images[index], self.held.targets[index], self.held.names[index])

    def take(self, indices: Tensor) -> Batch:
        """Return samples as a batch on the device.

        Args:
            indices: ``(batch,)`` int64.
        """
        if self.held is None:
            return _on_device(collate([self.data[int(index)] for index in indices]), self.device)
        rows = indices.to(self.device)
        names = tuple(self.held.names[int(index)] for index in indices)
        return Batch(self.held.images.index_select(0, rows), self.held.targets.index_select(0, rows), names)


def read_training_images(
    data: ImageData, device: torch.device, progress: ProgressCallback = silent, limit: int = MEMORY_LIMIT
) -> TrainingImages:
    """Decode a data set into memory where it fits.

    Args:
        data: labelled samples, all of one size.
        device: where batches are needed.
        progress: told of every image.
        limit: bytes that may be held.

    Raises:
        InputError: the data have no labels, or no samples.
    """
    if not data.labelled:
        raise InputError("training data: expected labelled images, got images without labels; give labels with them")
    if len(data) == 0:
        raise InputError("training data: expected at least one image, got none")
    first = data[0]
    if math.prod(first.image.shape) * first.image.element_size() * len(data) > limit:
        return TrainingImages(data, device, None)
    samples = []
    for index in range(len(data)):
        samples.append(data[index])
        progress(ProgressUpdate("reading images", index + 1, len(data)))
    return TrainingImages(data, device, _on_device(collate(samples), device))


def _on_device(batch: Batch, device: torch.device) -> Batch:
    return Batch(batch.images.to(device), batch.targets.to(device), batch.names)
