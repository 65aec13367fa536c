"""Which images of every batch one process runs, and how the parts become the batch again.

Every process draws the same batch, runs its share, and computes the loss of the whole batch from what all have run: so
losses that are no sums over images, such as variances, sorted importances and medians, are those of one process. As
each process has the whole loss, a gradient that comes back through `BatchShare.whole` is ``count`` times the loss's
own; the mean of all processes' gradients is the loss's gradient.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from usncli.errors import ConfigurationError
from usncli.pruning.processes import Processes


@dataclass(frozen=True)
class BatchShare:
    """The share of one process in each batch of a run; alone, it is the batch itself, untouched.

    Attributes:
        images: in a whole batch, the same number at every step.
        processes: that share it.

    Raises:
        ConfigurationError: fewer images than processes.
    """

    images: int = 1
    processes: Processes = field(default_factory=Processes)

    def __post_init__(self) -> None:
        if self.images < self.processes.count:
            raise ConfigurationError(
                f"batch_size: expected at least {self.processes.count} images, one a process, got {self.images}; "
                "raise --batch-size or start fewer processes"
            )

    @property
    def counts(self) -> tuple[int, ...]:
        """Images of every process; they differ by at most 1."""
        least, rest = divmod(self.images, self.processes.count)
        return tuple(least + (rank < rest) for rank in range(self.processes.count))

    @property
    def count(self) -> int:
        """Images of this process."""
        return self.counts[self.processes.rank]

    @property
    def before(self) -> int:
        """Images of the processes before this one."""
        return sum(self.counts[: self.processes.rank])

    def own(self, batch: Tensor) -> Tensor:
        """Return this process's part of a batch, ``(images, ...)``."""
        return batch if self.processes.count == 1 else batch[self.before : self.before + self.count]

    def whole(self, part: Tensor) -> Tensor:
        """Return the batch of which every process has a part, differentiable.

        Args:
            part: ``(count * k, ...)``: for each image of this process as many rows, side by side.

        Returns:
            ``(images * k, ...)``, in the order of the batch.
        """
        if self.processes.count == 1:
            return part
        rows = part.shape[0] // self.count
        gathered = self.processes.gather(pad_rows(part, 0, max(self.counts) * rows - part.shape[0]))
        return torch.cat([own[: count * rows] for own, count in zip(gathered, self.counts, strict=True)])


ALONE = BatchShare()
"""The share of a process that trains alone, of batches of any size."""


def pad_rows(rows: Tensor, before: int, after: int) -> Tensor:
    """Return ``(before + rows + after, ...)``, with zeros before and after."""
    return functional.pad(rows, (0, 0) * (rows.dim() - 1) + (before, after))
