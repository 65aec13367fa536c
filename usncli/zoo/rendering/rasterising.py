"""From projected triangles to the surface seen in each pixel: scan conversion and a z-buffer, vectorised.

Each triangle is cut into its pixel rows; where a row lies inside all three edges is an interval, found exactly; only
pixels inside are ever made. Of all triangles over a pixel the one with the largest inverse depth wins. Inverse depth
is linear over the picture, so no perspective correction is needed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from usncli.zoo.rendering.mesh import Floats, Integers


class ScreenTriangles(NamedTuple):
    """Triangles that face the camera, as functions of the picture's coordinates.

    Attributes:
        numbers: ``(triangles,)``, their indices in the mesh.
        corners: ``(triangles, 3, 2)``, x and y in the picture.
        edges: ``(triangles, 3, 3)``: barycentric weight k at (x, y) is ``edges[:, k] @ (x, y, 1)``.
        inverse_depth: ``(triangles, 3)``, at the corners.
    """

    numbers: Integers
    corners: Floats
    edges: Floats
    inverse_depth: Floats


class Fragments(NamedTuple):
    """The surface seen, one entry a covered pixel.

    Attributes:
        pixel: ``(fragments,)``, row times width plus column; each at most once.
        triangle: ``(fragments,)``, index in the mesh.
        weights: ``(fragments, 3)``, barycentric weights of the triangle's corners.
        inverse_depth: ``(fragments,)``, larger is nearer.
    """

    pixel: Integers
    triangle: Integers
    weights: Floats
    inverse_depth: Floats


def facing(points: Floats, inverse_depth: Floats, triangles: Integers) -> ScreenTriangles:
    """Keep the triangles that face the camera and find their barycentric functions.

    Args:
        points: ``(vertices, 2)``, x right and y down in the picture.
        inverse_depth: ``(vertices,)``, above 0.
        triangles: ``(triangles, 3)``, counter-clockwise when seen from outside, with y up.
    """
    corners = points[triangles]
    # Twice the signed area; y points down, so what is counter-clockwise to the eye is negative here.
    area = _cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    keep = np.flatnonzero(area < -1e-9)
    corners, area = corners[keep], area[keep]
    following = corners[:, [1, 2, 0]]
    side = corners[:, [2, 0, 1]] - following
    edges = np.stack([-side[..., 1], side[..., 0], -_cross(side, following)], axis=-1) / area[:, None, None]
    return ScreenTriangles(keep, corners, edges, inverse_depth[triangles[keep]])


def rasterise(triangles: ScreenTriangles, height: int, width: int) -> Fragments:
    """Find the nearest triangle at the middle of every pixel.

    Args:
        triangles: from `facing`.
        height: of the picture in pixels.
        width: likewise.
    """
    which, column, row = _covered_pixels(triangles, height, width)
    x_slope, y_slope, constant = np.einsum("tk,tki->it", triangles.inverse_depth, triangles.edges)
    inverse_depth = x_slope[which] * (column + 0.5) + y_slope[which] * (row + 0.5) + constant[which]
    pixel = row * width + column
    nearest = np.zeros(height * width)
    np.maximum.at(nearest, pixel, inverse_depth)
    candidates = np.flatnonzero(inverse_depth == nearest[pixel])
    winner = np.full(height * width, -1)
    winner[pixel[candidates]] = candidates
    kept = winner[winner >= 0]
    middles = np.stack([column[kept] + 0.5, row[kept] + 0.5, np.ones(len(kept))], axis=-1)
    weights: Floats = np.einsum("fki,fi->fk", triangles.edges[which[kept]], middles)
    return Fragments(pixel[kept], triangles.numbers[which[kept]], weights, inverse_depth[kept])


def nearest_inverse_depth(triangles: ScreenTriangles, points: Floats) -> Floats:
    """Return the inverse depth of the nearest surface at each point, 0 where there is none.

    Args:
        triangles: from `facing`.
        points: ``(points, 2)`` in the picture's coordinates.
    """
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    weights = np.einsum("tki,pi->ptk", triangles.edges, homogeneous)
    inverse_depth = np.einsum("ptk,tk->pt", weights, triangles.inverse_depth)
    nearest: Floats = np.where((weights >= 0).all(axis=-1), inverse_depth, 0.0).max(axis=1, initial=0.0)
    return nearest


def _covered_pixels(triangles: ScreenTriangles, height: int, width: int) -> tuple[Integers, Integers, Integers]:
    """Return (triangle, column, row) of every pixel whose middle lies inside a triangle."""
    top = np.clip(np.ceil(triangles.corners[..., 1].min(axis=1) - 0.5), 0, height).astype(np.int64)
    bottom = np.clip(np.floor(triangles.corners[..., 1].max(axis=1) - 0.5), -1, height - 1).astype(np.int64)
    span, offset = _enumerate_runs(np.maximum(bottom - top + 1, 0))
    row = top[span] + offset
    slope = triangles.edges[span, :, 0]
    rest = triangles.edges[span, :, 1] * (row + 0.5)[:, None] + triangles.edges[span, :, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = -rest / slope
    left = np.where(slope > 0, crossing, -np.inf).max(axis=1)
    right = np.where(slope < 0, crossing, np.inf).min(axis=1)
    outside = ((slope == 0) & (rest < 0)).any(axis=1)
    first = np.clip(np.ceil(left - 0.5), 0, width).astype(np.int64)
    last = np.clip(np.floor(right - 0.5), -1, width - 1).astype(np.int64)
    line, offset = _enumerate_runs(np.where(outside, 0, np.maximum(last - first + 1, 0)))
    return span[line], first[line] + offset, row[line]


def _enumerate_runs(lengths: Integers) -> tuple[Integers, Integers]:
    """Return, for each element of runs laid end to end, the run that it is in and its place there."""
    run = np.repeat(np.arange(len(lengths)), lengths)
    starts = np.cumsum(lengths) - lengths
    return run, np.arange(len(run)) - starts[run]


def _cross(left: Floats, right: Floats) -> Floats:
    result: Floats = left[..., 0] * right[..., 1] - left[..., 1] * right[..., 0]
    return result
