"""Sums over images of one layer's statistics: reduced in float32 inside a hook, added up in float64.

Nothing but sums of a fixed size is kept, whatever the number of images: one row for each of up to `BLOCKS` blocks of
images, so that leaving one block out at a time gives standard errors (the delete-one-block jackknife), and one for each
of two halves of the draws of theta, so that they can be compared. `usncli.scoring.statistics` states the formulas.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from usncli.scoring.statistics import InstabilityTerms, normalised_terms

BLOCKS = 32
"""Most blocks of images whose sums are kept apart; with as many images or fewer, every image is a block."""
CHUNK = 2**22
"""Most numbers that are reduced at once, if one image allows it: 16 MiB of float32, which stay in a large cache."""


class ThetaWeights(NamedTuple):
    """What turns activations at the thetas of one image into expectations; the same for every image.

    Attributes:
        weights: ``(samples,)``, on the device of the network.
        variance_factor: see `ThetaSample`.
        first_half: number of thetas in the first of two halves that are compared; 0 to compare none.
    """

    weights: Tensor
    variance_factor: float
    first_half: int


class LayerSums(NamedTuple):
    """Sums over positions, one row an image (or a block of images) and one column a channel.

    Attributes:
        positions: how many, ``(rows, 1)``.
        mean_shift: of |E D|, ``(rows, channels)``.
        variance: of Var D.
        clean: of the clean activation z.
        clean_deviation: of (z - mean of z over the image's positions)^2.
        clean_mean_square: of the squared mean of z over the image's positions.
    """

    positions: Tensor
    mean_shift: Tensor
    variance: Tensor
    clean: Tensor
    clean_deviation: Tensor
    clean_mean_square: Tensor

    def terms(self) -> InstabilityTerms:
        """Return the terms of every row, ``(rows, channels)``."""
        mean = self.clean / self.positions
        between = self.clean_mean_square / self.positions - mean.square()
        signal_variance = self.clean_deviation / self.positions + between.clamp(min=0)
        return normalised_terms(self.mean_shift / self.positions, self.variance / self.positions, mean, signal_variance)


class HalfSums(NamedTuple):
    """The sums that two halves of the thetas do not share: |E D| and Var D of each, ``(rows, channels)``."""

    mean_shift: tuple[Tensor, Tensor]
    variance: tuple[Tensor, Tensor]


class ReducedActivations(NamedTuple):
    """One row an image, float64."""

    sums: LayerSums
    halves: HalfSums | None


def reduce_activations(activations: Tensor, thetas: ThetaWeights) -> ReducedActivations:
    """Reduce a layer's activations to sums over positions, one row an image.

    Args:
        activations: ``(images, 1 + samples, channels, positions)``, the clean ones first.
        thetas: weights of the samples.
    """
    size = activations[0].numel()
    images = max(1, CHUNK // size) if size else 1
    chunks = [_reduce(chunk, thetas) for chunk in torch.split(activations, images)]
    if len(chunks) == 1:
        return chunks[0]
    sums = LayerSums(*(torch.cat(parts) for parts in zip(*(chunk.sums for chunk in chunks), strict=True)))
    halves = [chunk.halves for chunk in chunks if chunk.halves is not None]
    if not halves:
        return ReducedActivations(sums, None)
    pairs = [
        (torch.cat([half[kind][0] for half in halves]), torch.cat([half[kind][1] for half in halves]))
        for kind in (0, 1)
    ]
    return ReducedActivations(sums, HalfSums(*pairs))


def _reduce(activations: Tensor, thetas: ThetaWeights) -> ReducedActivations:
    """Reduce what fits a cache, in the activations' own precision; deviations, not squares, are subtracted."""
    clean, perturbed = activations[:, 0], activations[:, 1:]
    images, samples, _, positions = perturbed.shape
    mean = torch.matmul(thetas.weights, perturbed.reshape(images, samples, -1)).view_as(clean)
    deviation = perturbed - mean.unsqueeze(1)
    squares = torch.linalg.vector_norm(deviation, dim=-1).double().square()
    shift = mean.sub_(clean)
    variance = torch.einsum("k,bkc->bc", thetas.weights.double(), squares) * thetas.variance_factor
    clean_mean = clean.mean(-1)
    clean_deviation = torch.linalg.vector_norm(clean - clean_mean.unsqueeze(-1), dim=-1).double().square()
    halves = _reduce_halves(shift, deviation, squares, thetas) if thetas.first_half else None
    wide_mean = clean_mean.double()
    sums = LayerSums(
        wide_mean.new_full((images, 1), positions),
        shift.abs_().sum(-1).double(),
        variance,
        wide_mean * positions,
        clean_deviation,
        wide_mean.square() * positions,
    )
    return ReducedActivations(sums, halves)


def _reduce_halves(shift: Tensor, deviation: Tensor, squares: Tensor, thetas: ThetaWeights) -> HalfSums:
    """Reduce both halves of equally weighted thetas.

    With the mean deviation g of the first half (of a thetas) from the mean of all, that of the second (of b) is
    -(a / b) g, and each half's squared deviations from its own mean are those from the common mean less a g^2, b g^2.
    """
    first, second = thetas.first_half, deviation.shape[1] - thetas.first_half
    gap = deviation[:, :first].mean(1)
    gap_square = torch.linalg.vector_norm(gap, dim=-1).double().square()
    mean_shifts, variances = [], []
    for part, count, ratio in ((squares[:, :first], first, 1.0), (squares[:, first:], second, -first / second)):
        mean_shifts.append(torch.add(shift, gap, alpha=ratio).abs_().sum(-1).double())
        divisor = count - 1 if thetas.variance_factor > 1 else count
        variances.append((part.sum(1) - count * ratio**2 * gap_square).clamp(min=0) / divisor)
    return HalfSums((mean_shifts[0], mean_shifts[1]), (variances[0], variances[1]))


@dataclass
class ActivationStatistics:
    """Running sums of one layer over any number of images.

    Attributes:
        blocks: rows of the sums; image i is added to row i modulo ``blocks``.
        sums: totals of each block; none before the first image.
        halves: totals over all images, ``(1, channels)`` each; none where halves are not compared.
    """

    blocks: int
    sums: LayerSums | None = None
    halves: HalfSums | None = field(default=None)

    def add(self, reduced: ReducedActivations, first_image: int) -> None:
        """Add a batch of consecutive images.

        Args:
            reduced: one row an image.
            first_image: number of the first one in the whole run.
        """
        rows = reduced.sums.mean_shift.shape[0]
        block = (torch.arange(first_image, first_image + rows) % self.blocks).to(reduced.sums.positions.device)
        if self.sums is None:
            self.sums = LayerSums(*(part.new_zeros(self.blocks, part.shape[1]) for part in reduced.sums))
        for total, part in zip(self.sums, reduced.sums, strict=True):
            total.index_add_(0, block, part)
        if reduced.halves is not None:
            added = [(pair[0].sum(0, keepdim=True), pair[1].sum(0, keepdim=True)) for pair in reduced.halves]
            if self.halves is not None:
                added = [(a[0] + b[0], a[1] + b[1]) for a, b in zip(added, self.halves, strict=True)]
            self.halves = HalfSums(*added)

    def selected(self, rows: Tensor) -> LayerSums:
        """Return sums over chosen blocks.

        Args:
            rows: ``(selections, blocks)``, 1 where a block counts and 0 where it does not, float64.

        Returns:
            One row a selection.
        """
        if self.sums is None:
            raise ValueError("statistics: expected at least one image before sums are read, got none")
        return LayerSums(*(rows.to(total) @ total for total in self.sums))

    def theta_half(self, part: int) -> LayerSums:
        """Return the sums over all images with the first (0) or the second (1) half of the thetas, one row.

        Raises:
            ValueError: halves were not compared, or no image was added.
        """
        if self.halves is None or self.sums is None:
            raise ValueError("statistics: expected sums of two halves of the thetas, got none")
        everything = LayerSums(*(total.sum(0, keepdim=True) for total in self.sums))
        return everything._replace(mean_shift=self.halves.mean_shift[part], variance=self.halves.variance[part])
