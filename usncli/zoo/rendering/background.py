"""Sky with clouds, ground, and the horizon where the camera's attitude puts it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from usncli.zoo.rendering.mesh import Floats
from usncli.zoo.rendering.scene import Backdrop, Pose


def paint_background(backdrop: Backdrop, pose: Pose, height: int, width: int) -> Floats:
    """Return the picture without the aircraft, ``(3, height, width)``, roughly in [0, 1]."""
    upwards = _upwards(pose, height, width)
    noise = _noise(backdrop.octaves, height, width)
    clouds = _smooth_step((noise - 1.0 + backdrop.cover) * 4.0)
    sky = _mix(backdrop.haze, backdrop.zenith, np.clip(upwards * 2.2, 0.0, 1.0))
    sky = _mix(sky, backdrop.cloud, 0.9 * clouds)
    ground = _mix(backdrop.ground[0], backdrop.ground[1], _smooth_step((noise - 0.25) * 2.0))
    ground = _mix(backdrop.haze, ground, np.clip(-upwards * 6.0, 0.0, 1.0) ** 0.5)
    above = np.clip(upwards * (pose.focal * min(height, width)) + 0.5, 0.0, 1.0)
    return _mix(ground, sky, above)


def _upwards(pose: Pose, height: int, width: int) -> Floats:
    """Return how far each pixel's line of sight rises above the horizon, about its sine, ``(height, width)``."""
    scale = pose.focal * min(height, width)
    right = (np.arange(width) + 0.5 - width / 2) / scale
    down = (np.arange(height) + 0.5 - height / 2) / scale
    upwards: Floats = pose.up[0] * right + (pose.up[1] * down + pose.up[2])[:, None]
    return upwards


def _noise(octaves: tuple[Floats, ...], height: int, width: int) -> Floats:
    """Return the sum of the octaves of value noise, each half as strong as the one before, scaled to [0, 1]."""
    total = np.zeros((height, width))
    strength, strengths = 1.0, 0.0
    for grid in octaves:
        total += strength * (_interpolation(len(grid), height) @ grid @ _interpolation(len(grid), width).T)
        strengths += strength
        strength *= 0.55
    total /= strengths
    return total


@lru_cache(maxsize=32)
def _interpolation(nodes: int, pixels: int) -> Floats:
    """Return the matrix ``(pixels, nodes)`` that interpolates values at nodes smoothly between them."""
    place = (np.arange(pixels) + 0.5) / pixels * (nodes - 1)
    left = np.minimum(place.astype(np.int64), nodes - 2)
    share = _smooth_step(place - left)
    matrix = np.zeros((pixels, nodes))
    matrix[np.arange(pixels), left] = 1.0 - share
    matrix[np.arange(pixels), left + 1] = share
    return matrix


def _smooth_step(values: Floats) -> Floats:
    clipped = np.clip(values, 0.0, 1.0)
    result: Floats = clipped * clipped * (3.0 - 2.0 * clipped)
    return result


def _mix(first: Floats, second: Floats, share: Floats) -> Floats:
    """Blend colours ``(3,)`` or coloured pictures ``(3, height, width)`` by a share ``(height, width)``."""
    start = first.reshape(3, 1, 1) if first.ndim == 1 else first
    end = second.reshape(3, 1, 1) if second.ndim == 1 else second
    result: Floats = start + (end - start) * share
    return result
