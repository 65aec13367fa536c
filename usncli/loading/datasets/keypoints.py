"""Keypoint labels: checking that they lie in their image, and scaling them to the network's input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from usncli.loading.datasets.images import Box
from usncli.loading.preprocessing import Preprocessing


def keypoint_faults(
    name: str, keypoints: NDArray[np.floating], size: tuple[int, int], keypoint_names: Sequence[str]
) -> list[str]:
    """Return a text for each labelled keypoint that is not a number, lies outside its image, or has no visibility.

    Args:
        name: the image's.
        keypoints: ``(keypoints, 3)``, x, y and visibility; a visibility of 0 excuses everything.
        size: width and height of the image; its edges belong to it.
        keypoint_names: one a keypoint.
    """
    width, height = size
    faults = []
    for (x, y, visibility), keypoint_name in zip(keypoints.tolist(), keypoint_names, strict=True):
        keypoint = keypoint_name.removeprefix("keypoint ")
        if not visibility >= 0:
            faults.append(f"{name}: keypoint {keypoint} has the visibility {visibility:g}")
        elif visibility > 0 and not (0 <= x <= width and 0 <= y <= height):
            where = f"lies outside its {width}x{height} pixels" if np.isfinite([x, y]).all() else "is not a number"
            faults.append(f"{name}: keypoint {keypoint} at ({x:g}, {y:g}) {where}")
    return faults


def scaled_target(keypoints: NDArray[np.floating], box: Box, preprocessing: Preprocessing) -> Tensor:
    """Return keypoints in pixels of the network's input.

    Args:
        keypoints: ``(keypoints, 3)`` in pixels of the image.
        box: the part of the image that becomes the network's input.
        preprocessing: size of the network's input.

    Returns:
        ``(keypoints, 3)``, float32; zeros where a keypoint is not labelled.
    """
    left, top, right, bottom = box
    scale = np.array([preprocessing.width / (right - left), preprocessing.height / (bottom - top), 1.0])
    scaled = (keypoints - np.array([left, top, 0.0])) * scale
    return torch.tensor(np.where(keypoints[:, 2:] > 0, scaled, 0.0), dtype=torch.float32)


def crop_box(
    keypoints: NDArray[np.floating],
    bbox: tuple[float, float, float, float] | None,
    margin: float,
    image_size: tuple[int, int],
    aspect: float,
) -> Box:
    """Return the part of an image around an annotated object.

    Args:
        keypoints: ``(keypoints, 3)`` in pixels of the image.
        bbox: left, top, width and height of the object, where it is given.
        margin: added on each side, as a share of the longer side of the box that holds ``bbox`` and the keypoints.
        image_size: width and height of the image.
        aspect: width over height of the network's input; the box is widened to it, and loses it only where it is larger
            than the image.

    Returns:
        Left, top, right, bottom, inside the image, at least one pixel wide and high; holds all labelled keypoints.
    """
    points = keypoints[keypoints[:, 2] > 0, :2]
    if bbox is not None:
        left, top, width, height = bbox
        points = np.vstack([points, [[left, top], [left + width, top + height]]])
    points = points.clip(0, image_size)
    low, high = points.min(axis=0), points.max(axis=0)
    extent = (high - low) + 2 * margin * (high - low).max()
    extent = np.maximum(extent, 1.0)
    extent = np.minimum([max(extent[0], extent[1] * aspect), max(extent[1], extent[0] / aspect)], image_size)
    start = ((low + high - extent) / 2).clip(0, image_size - extent)
    left, top = start.tolist()
    right, bottom = np.minimum(start + extent, image_size).tolist()
    return left, top, right, bottom
