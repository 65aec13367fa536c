"""The pinhole camera."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from usncli.zoo.rendering.mesh import Floats
from usncli.zoo.rendering.scene import Pose


class Projected(NamedTuple):
    """Points in the picture.

    Attributes:
        points: ``(points, 2)``, x and y in pixels.
        inverse_depth: ``(points,)``, 1 / distance along the line of sight; larger is nearer.
    """

    points: Floats
    inverse_depth: Floats


def project(positions: Floats, pose: Pose, height: int, width: int) -> Projected:
    """Project points given in the aircraft's axes, ``(points, 3)``, into a picture of a size in pixels.

    The picture's shorter side sees the same whatever the size, so sizes of one shape differ by scale alone.
    """
    seen = positions @ pose.rotation.T + pose.offset
    inverse_depth = 1.0 / seen[:, 2]
    scale = pose.focal * min(height, width)
    points = seen[:, :2] * (scale * inverse_depth)[:, None] + np.array([width / 2, height / 2])
    return Projected(points, inverse_depth)
