"""Rotated, scaled and shifted copies of training images, their keypoints moved along."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from usncli.pruning.options import AugmentOptions
from usncli.pruning.training import step_seed
from usncli.types import Batch

AUGMENTING_PURPOSE = 3
"""Sets the draws of movements apart from what else is drawn in a step (`step_seed`)."""


def augmented(batch: Callable[[int], Batch], options: AugmentOptions, seed: int) -> Callable[[int], Batch]:
    """Return the batch of a step with every image moved at random; a pure function of the step.

    Args:
        batch: the batch of a step.
        options: how far images are moved.
        seed: of the draws.
    """
    if not options.any:
        return batch

    def moved_batch(step: int) -> Batch:
        given = batch(step)
        generator = torch.Generator().manual_seed(step_seed(seed, step, AUGMENTING_PURPOSE))
        linear, shift = draw_movements(len(given.images), options, generator)
        return moved(given, linear, shift)

    return moved_batch


def draw_movements(count: int, options: AugmentOptions, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw rotation, scale and shift of each image, independent and even over their ranges.

    Returns:
        Matrices ``(count, 2, 2)`` and shifts ``(count, 2)``: a point p of the moved image shows what was at
        ``matrix p + shift``, both in halves of the image's larger side from its centre, x before y.
    """
    angle, scale, *shift = (torch.rand(4, count, generator=generator, dtype=torch.float64) * 2 - 1).unbind()
    angle, factor = angle * math.radians(options.rotation), 1 + scale * options.scale
    cosine, sine = factor * angle.cos(), factor * angle.sin()
    linear = torch.stack([torch.stack([cosine, -sine], dim=1), torch.stack([sine, cosine], dim=1)], dim=1)
    return linear, torch.stack(shift, dim=1) * (2 * options.shift)


def moved(batch: Batch, linear: Tensor, shift: Tensor) -> Batch:
    """Return a batch whose images are moved, bilinear, edges repeated; keypoints that leave their image lose its label.

    Args:
        batch: images, and classes, which stay, or keypoints.
        linear: matrices, see `draw_movements`.
        shift: shifts, likewise.
    """
    height, width = batch.images.shape[-2:]
    # From halves of the larger side to halves of each side, as the sampling grid counts.
    sides = torch.tensor([width, height], dtype=torch.float64) / max(width, height)
    matrix = torch.cat([linear * sides / sides.unsqueeze(1), (shift / sides).unsqueeze(2)], dim=2)
    grid = affine_grid(matrix.to(batch.images), list(batch.images.shape), align_corners=False)
    images = grid_sample(batch.images, grid, padding_mode="border", align_corners=False)
    targets = batch.targets
    if targets.dim() == 3:
        targets = _moved_keypoints(targets, linear, shift, (width, height))
    return Batch(images, targets, batch.names)


def _moved_keypoints(targets: Tensor, linear: Tensor, shift: Tensor, size: tuple[int, int]) -> Tensor:
    extent = targets.new_tensor(size, dtype=torch.float64)
    half = extent.amax() / 2
    linear, shift = linear.to(targets.device), shift.to(targets.device)
    points = (targets[..., :2].double() - extent / 2) / half
    points = torch.linalg.solve(linear, (points - shift.unsqueeze(1)).mT).mT * half + extent / 2
    inside = ((points >= 0) & (points <= extent)).all(dim=-1, keepdim=True)
    visibility = torch.where(inside, targets[..., 2:], 0.0)
    return torch.cat([points.to(targets), visibility], dim=-1)
