"""What a network is trained for: one loss a task, each near 1 where a trained network still errs noticeably.

That common scale is what lets the weights of the other losses mean the same for every task.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from usncli.loading.heatmaps import gaussian_heatmaps
from usncli.types import Task

TOLERANCE = 0.02
"""Part of the image's size below which a keypoint's error counts quadratically: 1.3 px of 64."""

HEATMAP_SPREAD = 1.0
"""Standard deviation, in cells of the heatmap, of the Gaussian around a labelled keypoint."""


def task_loss(predictions: Tensor, targets: Tensor, task: Task, size: tuple[int, int]) -> Tensor:
    """Return the loss of a batch, a scalar.

    Args:
        predictions: what `Pipeline` returns.
        targets: ``(batch,)`` classes or ``(batch, keypoints, 3)``, see `usncli.types.Sample`.
        task: which loss.
        size: height and width of the network's input in pixels.
    """
    if task == Task.CLASSIFICATION:
        return functional.cross_entropy(predictions, targets)
    if task == Task.HEATMAPS:
        return heatmap_loss(predictions, targets, size)
    return keypoint_loss(predictions, targets, size)


def consistency_loss(clean: Tensor, perturbed: Tensor, weights: Tensor, task: Task, size: tuple[int, int]) -> Tensor:
    """Return how far predictions move under perturbation, a scalar: what a certified property limits, on average.

    Keypoints: the squared distance in units of `TOLERANCE` of the image's size, mean over coordinates. Classes and
    heatmaps: the Kullback-Leibler divergence of the perturbed softmax from the clean one, over classes or cells.

    Args:
        clean: ``(batch, *prediction)``, what `Pipeline` returns of the images.
        perturbed: ``(batch, samples, *prediction)``, of their perturbed versions.
        weights: of the samples, ``(samples,)``, summing to 1.
        task: what is predicted.
        size: height and width of the network's input in pixels.
    """
    clean = clean.unsqueeze(1)
    if task == Task.KEYPOINTS:
        scale = clean.new_tensor([size[1], size[0]]) * TOLERANCE
        moved = ((perturbed - clean) / scale).square()
    else:
        if task == Task.HEATMAPS:
            clean, perturbed = clean.flatten(-2), perturbed.flatten(-2)
        expected, found = clean.log_softmax(dim=-1), perturbed.log_softmax(dim=-1)
        moved = (expected.exp() * (expected - found)).sum(dim=-1)
    return (moved.reshape(*moved.shape[:2], -1).mean(dim=2) * weights.to(moved)).sum(dim=1).mean()


def keypoint_loss(predictions: Tensor, targets: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the Huber loss of labelled coordinates, in units of `TOLERANCE` of the image's size.

    Args:
        predictions: ``(batch, keypoints, 2)`` in pixels.
        targets: ``(batch, keypoints, 3)``: pixels and visibility.
        size: height and width of the network's input in pixels.
    """
    scale = predictions.new_tensor([size[1], size[0]]) * TOLERANCE
    errors = functional.huber_loss(predictions / scale, targets[..., :2] / scale, reduction="none").mean(dim=-1)
    labelled = (targets[..., 2] > 0).to(errors)
    return (errors * labelled).sum() / labelled.sum().clamp(min=1)


def heatmap_loss(predictions: Tensor, targets: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the cross entropy between each labelled keypoint's Gaussian and the softmax of its map over all cells.

    The certified property says that the peak beats every distant cell, cells being classes; this is its loss.

    Args:
        predictions: ``(batch, keypoints, height, width)`` of the heatmaps.
        targets: ``(batch, keypoints, 3)``: pixels of the input and visibility.
        size: height and width of the network's input in pixels.
    """
    height, width = predictions.shape[-2:]
    wanted = gaussian_heatmaps(targets, (height, width), size, HEATMAP_SPREAD).flatten(-2)
    share = wanted / wanted.sum(dim=-1, keepdim=True).clamp(min=1e-6)
    errors = -(share * functional.log_softmax(predictions.flatten(-2), dim=-1)).sum(dim=-1)
    labelled = (targets[..., 2] > 0).to(errors)
    return (errors * labelled).sum() / labelled.sum().clamp(min=1)
