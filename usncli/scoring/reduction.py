"""Reduces one layer's activations to a few numbers an image and channel, at the cost of a few passes over them.

The formulas are those of `usncli.scoring.statistics`. Deviations are subtracted before they are squared, so that close
activations lose no digits. Within an image everything is in the activations' own precision.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from usncli.perturbing.sampling import ThetaSample

CPU_CHUNK = 2**19
"""Most deviations that are held at once on a CPU, if one image allows it: 2 MiB of float32, which stay in a cache."""
GPU_CHUNK = 2**26
"""The same on a GPU, where few large pieces are best: 256 MiB of float32."""

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


def reduce_activations(activations: Tensor, thetas: ThetaWeights) -> Tensor:
    """Reduce a layer's activations to means over positions.

    Args:
        activations: ``(images, 1 + samples, channels, positions)``, the clean ones first.
        thetas: weights of the samples.

    Returns:
        ``(4 or 8, images, channels)``, see `MEAN_SHIFT` and `HALF_MEAN_SHIFT`.
    """
    chunk = CPU_CHUNK if activations.device.type == "cpu" else GPU_CHUNK
    images = max(1, chunk // max(1, activations[0].numel()))
    reduced = [_reduce(piece, thetas) for piece in torch.split(activations, images)]
    return reduced[0] if len(reduced) == 1 else torch.cat(reduced, dim=1)


def _reduce(activations: Tensor, thetas: ThetaWeights) -> Tensor:
    clean, perturbed = activations[:, 0], activations[:, 1:]
    images, samples, channels, positions = perturbed.shape
    maps = perturbed.new_empty(7 if thetas.losses else 3, images, channels, positions)
    means = torch.matmul(thetas.means, perturbed.reshape(images, samples, -1)).view(images, -1, channels, positions)
    squares = (perturbed - means[:, :1]).square_().reshape(images, samples, -1)  # strides as the layer gave them
    variances = torch.matmul(thetas.squares, squares).view(images, -1, channels, positions)
    shift = torch.sub(means[:, 0], clean, out=maps[MEAN_SHIFT])
    maps[VARIANCE] = variances[:, 0]
    if thetas.losses:
        _reduce_halves(maps[3:], shift, means[:, 1] - means[:, 0], variances[:, 1:], thetas)
    shift.abs_()
    clean_mean = clean.mean(-1)
    torch.sub(clean, clean_mean.unsqueeze(-1), out=maps[CLEAN_DEVIATION]).square_()
    averages = maps.mean(-1)
    return torch.cat([averages[:3], clean_mean.unsqueeze(0), averages[3:]])


def _reduce_halves(maps: Tensor, shift: Tensor, gap: Tensor, variances: Tensor, thetas: ThetaWeights) -> None:
    """Fill the maps of both halves: |E D| of each, then Var D of each."""
    torch.add(shift, gap, out=maps[0])
    torch.add(shift, gap, alpha=thetas.other_half, out=maps[1])
    maps[:2].abs_()
    gap.square_()
    for half, loss in enumerate(thetas.losses):
        torch.sub(variances[:, half], gap, alpha=loss, out=maps[2 + half])


__all__ = [
    "CLEAN",
    "CLEAN_DEVIATION",
    "HALF_MEAN_SHIFT",
    "HALF_VARIANCE",
    "MEAN_SHIFT",
    "VARIANCE",
    "ThetaWeights",
    "reduce_activations",
    "theta_weights",
]
