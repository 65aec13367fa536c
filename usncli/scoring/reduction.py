"""Reduces activations to a few numbers an image and channel, at the cost of a few passes over them.

The formulas are those of `usncli.scoring.statistics`. Deviations are subtracted before they are squared, so that close
activations lose no digits. Within an image everything is in the activations' own precision.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from usncli.perturbing.sampling import ThetaSample
from usncli.scoring.workspace import Workspace, chunk_size

MEAN_SHIFT, VARIANCE, CLEAN_DEVIATION, CLEAN = range(4)
"""Rows of what `reduce_activations` returns: means over positions of |E D|, Var D, (z - image's mean z)^2, and z."""
HALF_MEAN_SHIFT, HALF_VARIANCE = (4, 5), (6, 7)
"""Further rows where two halves of the thetas are compared: |E D| and Var D of each half."""


class ThetaWeights(NamedTuple):
    """What turns activations at the thetas of an image into expectations; the same for every image.

    Attributes:
        means: ``(1 or 2, samples)``: weights of the mean; with halves, those of the first half's mean too.
        squares: ``(1 or 3, samples)``: weights of the squared deviations from the mean in the variance; with halves, in
            the variance of each half too.
        other_half: with halves, what multiplies the first half's mean deviation to give the second half's.
        losses: with halves, what each half's variance loses, in squares of the first half's mean deviation.
    """

    means: Tensor
    squares: Tensor
    other_half: float = 0.0
    losses: tuple[float, ...] = ()


def theta_weights(sample: ThetaSample, *, halves: bool, like: Tensor) -> ThetaWeights:
    """Prepare weights for `reduce_activations`.

    Where g is the mean deviation of the first half (of a thetas), that of the second half (of b) is -(a / b) g, and
    each half's squared deviations from its own mean are those from the common mean less a g^2, or b (a g / b)^2.

    Args:
        sample: weights and variance factor.
        halves: whether to compare two halves of the thetas, which must be equally weighted and at least 4.
        like: its device and dtype are taken.
    """
    weights, variance = sample.weights, sample.weights * sample.variance_factor
    if not halves:
        return ThetaWeights(weights.unsqueeze(0).to(like), variance.unsqueeze(0).to(like))
    first, second = len(weights) // 2, len(weights) - len(weights) // 2
    in_first = (torch.arange(len(weights)) < first).double()
    corrected = int(sample.variance_factor > 1)
    squares = torch.stack([variance, in_first / (first - corrected), (1 - in_first) / (second - corrected)])
    losses = (first / (first - corrected), first**2 / second / (second - corrected))
    return ThetaWeights(torch.stack([weights, in_first / first]).to(like), squares.to(like), -first / second, losses)


class LayerShape(NamedTuple):
    """Shape of a layer's activations on one image."""

    channels: int
    positions: int


def reduce_activations(
    activations: Tensor, shapes: Sequence[LayerShape], thetas: ThetaWeights, workspace: Workspace
) -> list[Tensor]:
    """Reduce the activations of one or several layers to means over positions.

    Args:
        activations: ``(images, 1 + samples, numbers)``, the clean ones first, the layers' numbers side by side.
        shapes: of the layers.
        thetas: weights of the samples.
        workspace: scratch memory.

    Returns:
        For every layer ``(4 or 8, images, channels)``, see `MEAN_SHIFT` and `HALF_MEAN_SHIFT`.
    """
    images = max(1, chunk_size(activations.device) // max(1, activations[0].numel()))
    pieces = [_reduce(piece, shapes, thetas, workspace) for piece in torch.split(activations, images)]
    return pieces[0] if len(pieces) == 1 else [torch.cat(layer, dim=1) for layer in zip(*pieces, strict=True)]


def _reduce(
    activations: Tensor, shapes: Sequence[LayerShape], thetas: ThetaWeights, workspace: Workspace
) -> list[Tensor]:
    clean, perturbed = activations[:, 0], activations[:, 1:]
    images, samples, numbers = perturbed.shape
    maps = workspace.take("maps", clean, 8 if thetas.losses else 4, images, numbers)
    means = workspace.take("means", clean, images, len(thetas.means), numbers)
    torch.matmul(thetas.means, perturbed, out=means)
    squares = workspace.take("squares", clean, images, samples, numbers)
    torch.sub(perturbed, means[:, :1], out=squares).square_()
    shift = torch.sub(means[:, 0], clean, out=maps[MEAN_SHIFT])
    variances = workspace.take("variances", clean, images, len(thetas.squares), numbers)
    torch.matmul(thetas.squares, squares, out=variances)
    maps[VARIANCE] = variances[:, 0]
    maps[CLEAN] = clean
    if thetas.losses:
        gap = torch.sub(means[:, 1], means[:, 0], out=workspace.take("gap", clean, images, numbers))
        _reduce_halves(maps[4:], shift, gap, variances[:, 1:], thetas)
    shift.abs_()
    return [_average(maps, first, shape) for first, shape in zip(_starts(shapes), shapes, strict=True)]


def _starts(shapes: Sequence[LayerShape]) -> Iterator[int]:
    return accumulate((shape.channels * shape.positions for shape in shapes[:-1]), initial=0)


def _average(maps: Tensor, first: int, shape: LayerShape) -> Tensor:
    """Average one layer's part of the maps over positions, the squared deviation of its clean activations included."""
    layer = maps[..., first : first + shape.channels * shape.positions].view(*maps.shape[:2], *shape)
    clean_mean = layer[CLEAN].mean(-1, keepdim=True)
    torch.sub(layer[CLEAN], clean_mean, out=layer[CLEAN_DEVIATION]).square_()
    return layer.mean(-1)


def _reduce_halves(maps: Tensor, shift: Tensor, gap: Tensor, variances: Tensor, thetas: ThetaWeights) -> None:
    """Fill the maps of both halves: |E D| of each, then Var D of each."""
    torch.add(shift, gap, out=maps[0])
    torch.add(shift, gap, alpha=thetas.other_half, out=maps[1])
    maps[:2].abs_()
    gap.square_()
    for half, loss in enumerate(thetas.losses):
        torch.sub(variances[:, half], gap, alpha=loss, out=maps[2 + half])
