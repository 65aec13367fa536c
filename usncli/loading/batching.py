"""Samples into batches, orders of samples, and parts of data sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from usncli.errors import ConfigurationError
from usncli.types import Batch, ImageData, Sample


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples along a new first dimension.

    Args:
        samples: at least one, all of one shape.
    """
    return Batch(
        images=torch.stack([sample.image for sample in samples]),
        targets=torch.stack([sample.target for sample in samples]),
        names=tuple(sample.name for sample in samples),
    )


def batches(data: ImageData, size: int, *, order: Tensor | Sequence[int] | None = None) -> Iterator[Batch]:
    """Go through a data set batch by batch, reading each batch when it is asked for.

    Args:
        data: the samples.
        size: samples a batch, at least 1; the last batch holds what is left.
        order: indices of the samples in the order wanted, ``(samples,)``; by default all, from first to last.

    Raises:
        ConfigurationError: a size below 1 (at once, not at the first batch).
    """
    if size < 1:
        raise ConfigurationError(f"batch size: expected at least 1, got {size}")
    indices = range(len(data)) if order is None else [int(index) for index in order]
    return (collate([data[index] for index in indices[start : start + size]]) for start in range(0, len(indices), size))


def epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    """Return the order of the samples in an epoch: a pure function of its arguments, so that resuming is exact.

    Args:
        count: number of samples.
        seed: seed of the run; orders of neighbouring seeds and epochs are unrelated.
        epoch: 0 for the first.

    Returns:
        A permutation of 0 .. count - 1, int64 ``(count,)``, on the CPU.
    """
    entropy = np.random.SeedSequence([seed % 2**64, epoch]).generate_state(1, np.uint64)[0]
    return torch.randperm(count, generator=torch.Generator().manual_seed(int(entropy)))


class Subset:
    """Some samples of a data set, in an order of one's own; an `ImageData`.

    Args:
        data: the whole.
        indices: which samples; one may come more than once.
    """

    def __init__(self, data: ImageData, indices: Sequence[int] | Tensor) -> None:
        self._data = data
        self._indices = [range(len(data))[int(index)] for index in indices]
        self.task = data.task
        self.label_names = data.label_names
        self.labelled = data.labelled
        self.notes: tuple[str, ...] = getattr(data, "notes", ())

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Sample:
        return self._data[self._indices[index]]


def subset(data: ImageData, indices: Sequence[int] | Tensor) -> Subset:
    """Return the samples of these indices, read lazily.

    Raises:
        IndexError: an index that the data do not have.
    """
    return Subset(data, indices)


class Joined:
    """Data sets of one kind, one after the other; an `ImageData`.

    Args:
        parts: at least one; what all samples are is said by the first.
    """

    def __init__(self, parts: Sequence[ImageData]) -> None:
        self._parts = tuple(parts)
        self.task = parts[0].task
        self.label_names = parts[0].label_names
        self.labelled = parts[0].labelled

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __getitem__(self, index: int) -> Sample:
        for part in self._parts:
            if 0 <= index < len(part):
                return part[index]
            index -= len(part)
        raise IndexError(f"sample: expected an index from 0 to {len(self) - 1}")


def evenly_spaced(count: int, limit: int) -> list[int]:
    """Return ``limit`` positions of ``count``, evenly spread, so that a part of sorted data still shows all of it.

    Args:
        count: positions there are.
        limit: positions wanted, at least 1 and at most ``count``.
    """
    return [position * count // limit for position in range(limit)]


def split_halves(data: ImageData) -> tuple[Subset, Subset]:
    """Return the samples of even and of odd index.

    Alternating keeps the halves alike where samples are sorted, as by class or by time.
    """
    return subset(data, range(0, len(data), 2)), subset(data, range(1, len(data), 2))
