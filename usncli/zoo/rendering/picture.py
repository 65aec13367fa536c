"""From a scene to a picture with its labels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from usncli.zoo.rendering.airframe import airframe
from usncli.zoo.rendering.background import paint_background
from usncli.zoo.rendering.camera import project
from usncli.zoo.rendering.keypoints import label_keypoints
from usncli.zoo.rendering.mesh import Floats, Integers
from usncli.zoo.rendering.rasterising import ScreenTriangles, facing, rasterise
from usncli.zoo.rendering.scene import Scene, sample_scene
from usncli.zoo.rendering.shading import shade

SUPERSAMPLING = 2
"""The aircraft is drawn at this many times the resolution, each way, and averaged."""


class Picture(NamedTuple):
    """A rendered picture.

    Attributes:
        image: ``(3, height, width)``, uint8, red, green, blue.
        keypoints: ``(keypoints, 3)``: x and y in pixels, and COCO's visibility 2 seen, 1 occluded, 0 outside.
        coverage: ``(height, width)``, share of each pixel that the aircraft covers, in [0, 1].
    """

    image: NDArray[np.uint8]
    keypoints: Floats
    coverage: Floats


def scene_of(index: int, seed: int) -> Scene:
    """Return scene ``index`` of ``seed``: the same whatever else is drawn, in any order."""
    return sample_scene(np.random.default_rng([seed, index]))


def render(scene: Scene, height: int, width: int) -> Picture:
    """Draw a scene.

    Args:
        scene: what to draw.
        height: size in pixels.
        width: likewise.
    """
    finer = SUPERSAMPLING
    mesh = airframe()
    points, inverse_depth = project(mesh.vertices, scene.pose, height * finer, width * finer)
    triangles = facing(points, inverse_depth, mesh.triangles)
    fragments = rasterise(triangles, height * finer, width * finer)
    aircraft, coverage = _average(fragments.pixel, np.minimum(shade(fragments, mesh, scene), 1.0), height, width)
    image = paint_background(scene.backdrop, scene.pose, height, width) * (1.0 - coverage) + aircraft
    image += _sensor_noise(scene, image.shape)
    keypoints = label_keypoints(scene, _coarser(triangles, finer), height, width)
    return Picture((np.clip(image, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8), keypoints, coverage)


def _average(pixel: Integers, colours: Floats, height: int, width: int) -> tuple[Floats, Floats]:
    """Average fragments of the finer picture; return premultiplied colours ``(3, height, width)`` and coverage."""
    row, column = np.divmod(pixel, width * SUPERSAMPLING)
    coarse = row // SUPERSAMPLING * width + column // SUPERSAMPLING
    sums = [np.bincount(coarse, weights, minlength=height * width) for weights in colours]
    counts = np.bincount(coarse, minlength=height * width)
    colour = np.stack(sums).reshape(3, height, width) / SUPERSAMPLING**2
    return colour, counts.reshape(height, width) / SUPERSAMPLING**2


def _coarser(triangles: ScreenTriangles, factor: int) -> ScreenTriangles:
    """Return the same triangles in coordinates ``factor`` times coarser."""
    edges = triangles.edges * np.array([factor, factor, 1.0])
    return triangles._replace(corners=triangles.corners / factor, edges=edges)


def _sensor_noise(scene: Scene, shape: tuple[int, ...]) -> NDArray[np.float32]:
    generator = np.random.default_rng(scene.noise_seed)
    return generator.standard_normal(shape, dtype=np.float32) * np.float32(scene.noise)
