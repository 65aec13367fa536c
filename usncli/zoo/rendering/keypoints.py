"""Where the keypoints are in the picture, and which of them can be seen."""

from __future__ import annotations

import numpy as np

from usncli.zoo.rendering.airframe import keypoint_depths, keypoint_positions
from usncli.zoo.rendering.camera import project
from usncli.zoo.rendering.mesh import Floats
from usncli.zoo.rendering.rasterising import ScreenTriangles, nearest_inverse_depth
from usncli.zoo.rendering.scene import Scene

OUTSIDE, OCCLUDED, VISIBLE = 0.0, 1.0, 2.0
"""COCO's visibilities. Outside the picture, the coordinates are 0 too, as COCO writes them."""


def label_keypoints(scene: Scene, triangles: ScreenTriangles, height: int, width: int) -> Floats:
    """Return x, y and visibility of each keypoint, ``(keypoints, 3)``.

    A keypoint lies a little inside the aircraft. It is occluded where the surface on its line of sight is nearer to
    the camera than the keypoint by more than its `Keypoint.depth`.

    Args:
        scene: what is shown.
        triangles: the aircraft's surface in the picture.
        height: size of the picture in pixels.
        width: likewise.
    """
    points, inverse_depth = project(keypoint_positions(), scene.pose, height, width)
    surface = nearest_inverse_depth(triangles, points)
    covered = surface > 1.0 / np.maximum(1.0 / inverse_depth - keypoint_depths(), 1e-6)
    beyond = np.maximum(-points, points - np.array([width, height])).max(axis=1)
    visibility = np.where(beyond < 0, np.where(covered, OCCLUDED, VISIBLE), OUTSIDE)
    return np.column_stack([np.where(beyond[:, None] < 0, points, 0.0), visibility])
