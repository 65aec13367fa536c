"""Between keypoints in image pixels and maps of a coarser grid.

One convention throughout: coordinates are continuous, 0 is the image's left or top edge, and the cell (row i, column j)
of an (h, w) map over an (H, W) image has its centre at x = (j + 0.5) W / w, y = (i + 0.5) H / h in image pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor


def cell_centres(map_shape: tuple[int, int], image_shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return where the cells of a map lie in the image.

    Args:
        map_shape: height and width of the map in cells.
        image_shape: height and width of the image in pixels.

    Returns:
        x of each column ``(map width,)`` and y of each row ``(map height,)``, float32, in image pixels.
    """
    (map_height, map_width), (height, width) = map_shape, image_shape
    x = (torch.arange(map_width) + 0.5) * (width / map_width)
    y = (torch.arange(map_height) + 0.5) * (height / map_height)
    return x, y


def gaussian_heatmaps(
    keypoints: Tensor, map_shape: tuple[int, int], image_shape: tuple[int, int], sigma: float
) -> Tensor:
    """Draw a Gaussian of height 1 around every labelled keypoint.

    Args:
        keypoints: ``(batch, keypoints, 3)``: x, y in image pixels and visibility, see `usncli.types.Sample`.
        map_shape: height and width of the maps in cells.
        image_shape: height and width of the image in pixels.
        sigma: standard deviation in cells of the map, above 0.

    Returns:
        ``(batch, keypoints, map height, map width)`` in [0, 1], of the dtype of ``keypoints``: the height at each
        cell's centre, so 1 only where a keypoint lies on a centre; all 0 where the keypoint is not labelled.

    Raises:
        ValueError: sigma is not above 0, or the keypoints have another shape.
    """
    if not sigma > 0:
        raise ValueError(f"sigma: expected a number of map cells above 0, got {sigma}")
    if keypoints.dim() != 3 or keypoints.shape[-1] != 3:
        raise ValueError(f"keypoints: expected shape (batch, keypoints, 3), got {tuple(keypoints.shape)}")
    labelled = keypoints[..., 2] > 0
    profiles = []
    for axis, centres in enumerate(cell_centres(map_shape, image_shape)):
        spread = sigma * image_shape[1 - axis] / map_shape[1 - axis]
        distance = (centres.to(keypoints) - keypoints[..., axis, None]) / spread
        profiles.append(torch.exp(-0.5 * distance.square()))
    across, down = profiles
    return (down[..., :, None] * across[..., None, :]) * labelled[..., None, None]


def peaks(heatmaps: Tensor, image_shape: tuple[int, int]) -> Tensor:
    """Return the centre of each map's highest cell, the first in reading order where several are equally high.

    Args:
        heatmaps: ``(batch, keypoints, map height, map width)``.
        image_shape: height and width of the image in pixels.

    Returns:
        ``(batch, keypoints, 2)``, x before y, in image pixels, of the dtype and on the device of ``heatmaps``. No
        gradient flows through it.

    Raises:
        ValueError: the heatmaps have another shape.
    """
    if heatmaps.dim() != 4:
        raise ValueError(f"heatmaps: expected shape (batch, keypoints, height, width), got {tuple(heatmaps.shape)}")
    map_height, map_width = heatmaps.shape[-2:]
    cell = heatmaps.flatten(-2).argmax(dim=-1)
    x, y = cell_centres((map_height, map_width), image_shape)
    return torch.stack([x.to(heatmaps)[cell % map_width], y.to(heatmaps)[cell // map_width]], dim=-1)
