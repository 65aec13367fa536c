"""Upper bounds of 2-norms of linear maps: how much longer they may make an error vector.

An error whose length ||e||_2 is known grows by the largest singular value of each layer, one that is known entry by
entry by the layer's absolute row sums: in a convolution of c channels and k x k kernels about 2 to 4 against sqrt(c) k.

The norm of a convolution. One of stride s is a convolution of stride 1 of the input's s x s phases, each a channel of
its own (a permutation, of norm 1). Padding with zeros and leaving out results are maps of norm 1, so the norm is at
most that of the convolution of infinite sequences: the supremum over frequencies w of the norm of the matrix

    W(w) = sum_k W[:, :, k] exp(-i w . k)

(Sedghi, Gupta and Long, The Singular Values of Convolutional Layers, 2019, for a torus). For unit vectors u and v the
real part of u* W(w) v, turned by any phase, is along each axis a trigonometric polynomial of degree n = (q - 1) / 2 for
q kernel positions, and such a polynomial is at most 1 / cos(pi n / M) times its largest value on M > 2n equally spaced
points (Ehlich and Zeller, Schwankung von Polynomen zwischen Gitterpunkten, 1964). Dilation only scales w.

Along an axis on which a phase holds at most h values, the convolution is also part of one on a torus of h + q - 1,
where nothing wraps around, and whose norm is that of its own frequencies alone: fewer of them, and no margin, on small
maps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

ROUNDED = 1 + 1e-6
"""Covers the rounding of the eigenvalues, which float64 gives to some n^2 2^-53 of the largest."""
POINTS = 8
"""Points on an axis for each kernel position, for matrices of up to `SMALL` rows or columns; fewer for larger ones."""
SMALL = 128


def matrix_norm(matrices: Tensor) -> float:
    """Return at least the largest singular value of matrices ``(..., rows, columns)``."""
    wide = matrices.shape[-2] <= matrices.shape[-1]
    gram = matrices @ matrices.mH if wide else matrices.mH @ matrices
    # The absolute term covers what underflows where the largest entry is tiny.
    return float(torch.linalg.eigvalsh(gram)[..., -1].amax().clamp(min=0).sqrt()) * ROUNDED + 1e-100


def convolution_norm(
    weight: Tensor, sizes: Sequence[int], strides: Sequence[int], dilations: Sequence[int], groups: int
) -> float:
    """Return at least the norm of a convolution; also of its transpose.

    Args:
        weight: ``(channels, input channels / groups, *kernel)``.
        sizes: of the input, one an axis.
        strides: one an axis.
        dilations: one an axis.
        groups: of channels.
    """
    phases = _phases(_dilated(weight.double(), strides, dilations), strides)
    matrices = phases.reshape(groups, -1, *phases.shape[1:])
    small = min(matrices.shape[1:3]) <= SMALL
    margin = 1.0
    for axis, positions in enumerate(phases.shape[2:]):
        points = 1 if positions == 1 else POINTS * positions if small else max(POINTS, 2 * positions)
        torus = _torus(sizes[axis], positions, strides[axis])
        # A kernel that stays undilated here has the dilated one's frequencies, but not at the same places of a torus.
        if torus <= points and (dilations[axis] == 1 or strides[axis] > 1):
            points = torus
        else:
            margin /= math.cos(math.pi * (positions - 1) / 2 / points)
        # Real weights make frequencies w and -w alike, so half of the first axis' will do.
        matrices = _transformed(matrices, 3 + axis, points, half=axis == 0)
    return matrix_norm(matrices.flatten(3).permute(0, 3, 1, 2)) * margin


def _torus(size: int, positions: int, stride: int) -> int:
    """Return the length of a torus on which a kernel's positions and what a phase of the input holds do not wrap."""
    # Where a phase begins depends on the padding, hence one more.
    held = size if stride == 1 else -(-size // stride) + 1
    return held + positions - 1


def _transformed(values: Tensor, axis: int, points: int, *, half: bool) -> Tensor:
    """Return the sums over an axis of values times exp(-i w k), at equally spaced w of [0, 2 pi) or of [0, pi]."""
    frequencies = torch.arange(points // 2 + 1 if half else points, dtype=torch.float64, device=values.device)
    positions = torch.arange(values.shape[axis], dtype=torch.float64, device=values.device)
    angles = torch.outer(positions, frequencies) * (2 * math.pi / points)
    waves = torch.polar(torch.ones_like(angles), -angles)
    return (values.to(waves.dtype).movedim(axis, -1) @ waves).movedim(-1, axis)


def _dilated(weight: Tensor, strides: Sequence[int], dilations: Sequence[int]) -> Tensor:
    """Return a kernel with its holes, along axes where a stride meets them; elsewhere they do not change the norm."""
    for axis, (stride, dilation) in enumerate(zip(strides, dilations, strict=True), start=2):
        if stride > 1 and dilation > 1:
            shape = list(weight.shape)
            shape[axis] = (shape[axis] - 1) * dilation + 1
            spread = weight.new_zeros(shape)
            spread.index_copy_(axis, torch.arange(weight.shape[axis], device=weight.device) * dilation, weight)
            weight = spread
    return weight


def _phases(weight: Tensor, strides: Sequence[int]) -> Tensor:
    """Return the kernel ``(channels, inputs * phases, *positions)`` of stride 1 on the phases of the input."""
    for axis, stride in enumerate(strides, start=2):
        missing = -weight.shape[axis] % stride
        padding = [0, 0] * (weight.dim() - 1 - axis) + [0, missing]
        padded = torch.nn.functional.pad(weight, padding)
        shape = padded.shape
        parts = padded.reshape(*shape[:axis], -1, stride, *shape[axis + 1 :])
        weight = parts.movedim(axis + 1, 2).flatten(1, 2)
    return weight
