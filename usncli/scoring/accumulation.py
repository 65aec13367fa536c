"""Sums of the layers' statistics over images, in float64 and of a fixed size, whatever the number of images.

They are kept for up to `BLOCKS` blocks of images, so that leaving one block out at a time gives standard errors (the
delete-one-block jackknife), and for two halves of the draws of theta, so that their cut sets can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from usncli.scoring import reduction
from usncli.scoring.statistics import InstabilityTerms, normalised_terms

BLOCKS = 32
"""Most blocks of images whose sums are kept apart; with as many images or fewer, every image is a block."""


class LayerColumns(NamedTuple):
    """Which columns of the sums belong to one run of a layer.

    Attributes:
        layer: name of the module; a module that runs several times in a forward pass comes several times.
        first: its first column.
        channels: number of its columns.
    """

    layer: str
    first: int
    channels: int


@dataclass
class ActivationSums:
    """Running sums over images of all scored layers, their channels side by side.

    Attributes:
        blocks: rows of the sums; image i is added to row i modulo ``blocks``.
        columns: which columns belong to which layer; empty before the first image.
        counts: images in each block, ``(blocks,)``.
        sums: ``(blocks, 5, columns)``, the rows of `reduction` and the squared clean mean; none before the first image.
        halves: ``(4, columns)``, see `reduction.HALF_MEAN_SHIFT`; none where halves of the thetas are not compared.
        half_images: number of images in ``halves``.
    """

    blocks: int
    columns: tuple[LayerColumns, ...] = ()
    counts: Tensor = field(init=False)
    sums: Tensor | None = None
    halves: Tensor | None = None
    half_images: int = 0

    def __post_init__(self) -> None:
        self.counts = torch.zeros(self.blocks, dtype=torch.float64)

    def add(self, reduced: list[tuple[str, Tensor]], first_image: int) -> None:
        """Add a batch of consecutive images.

        Args:
            reduced: for every layer in the order in which they ran, its name and what `reduce_activations` returned.
            first_image: number of the first image in the whole run.
        """
        joined = torch.cat([rows for _, rows in reduced], dim=2).double()
        block = torch.arange(first_image, first_image + joined.shape[1]) % self.blocks
        self.counts.index_add_(0, block, torch.ones(len(block), dtype=torch.float64))
        rows = torch.cat([joined[:4], joined[reduction.CLEAN].square().unsqueeze(0)]).transpose(0, 1)
        if self.sums is None:
            self.columns = _columns(reduced)
            self.sums = joined.new_zeros(self.blocks, *rows.shape[1:])
        self.sums.index_add_(0, block.to(joined.device), rows)
        if joined.shape[0] > 4:
            added = joined[4:].sum(1)
            self.halves = added if self.halves is None else self.halves + added
            self.half_images += joined.shape[1]

    def terms(self, blocks: Tensor) -> InstabilityTerms:
        """Return the terms on chosen blocks of images.

        Args:
            blocks: ``(choices, blocks)``, 1 where a block counts and 0 where it does not.

        Returns:
            Terms ``(choices, columns)``, float64 on the CPU.
        """
        return _terms(self._means(blocks))

    def half_terms(self, half: int) -> InstabilityTerms:
        """Return the terms with the first (0) or the second (1) half of the thetas, ``(1, columns)``.

        The signal is that of all images, the rest of those that were added with halves.

        Raises:
            ValueError: halves were not compared.
        """
        if self.halves is None:
            raise ValueError("sums: expected two halves of the thetas, got none")
        means = self._means(torch.ones(1, self.blocks)).clone()
        halves = self.halves.cpu() / self.half_images
        means[:, reduction.MEAN_SHIFT] = halves[reduction.HALF_MEAN_SHIFT[half] - 4]
        means[:, reduction.VARIANCE] = halves[reduction.HALF_VARIANCE[half] - 4].clamp(min=0)
        return _terms(means)

    def not_finite(self) -> tuple[str, ...]:
        """Return the layers whose activations were NaN or infinite."""
        if self.sums is None or bool(self.sums.sum().isfinite()):
            return ()
        totals = self.sums.sum((0, 1))
        bad = [
            part.layer for part in self.columns if not totals[part.first : part.first + part.channels].isfinite().all()
        ]
        return tuple(dict.fromkeys(bad))

    def _means(self, blocks: Tensor) -> Tensor:
        """Return means over the images of chosen blocks, ``(choices, 5, columns)``."""
        if self.sums is None:
            raise ValueError("sums: expected at least one image before they are read, got none")
        blocks = blocks.double()
        means: Tensor = torch.tensordot(blocks, self.sums.cpu(), dims=1) / (blocks @ self.counts).view(-1, 1, 1)
        return means


def _columns(reduced: list[tuple[str, Tensor]]) -> tuple[LayerColumns, ...]:
    columns, first = [], 0
    for layer, rows in reduced:
        columns.append(LayerColumns(layer, first, rows.shape[2]))
        first += rows.shape[2]
    return tuple(columns)


def _terms(means: Tensor) -> InstabilityTerms:
    mean_shift, variance, within, mean, mean_square = means.unbind(1)
    signal_variance = within + (mean_square - mean.square()).clamp(min=0)
    return normalised_terms(mean_shift, variance, mean, signal_variance)
