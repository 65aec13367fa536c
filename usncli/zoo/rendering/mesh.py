"""Triangle meshes, and the one way to make them here: lofting rings of points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Mesh(NamedTuple):
    """Triangles with a normal a corner, wound counter-clockwise when seen from outside.

    Attributes:
        vertices: ``(vertices, 3)``, positions.
        triangles: ``(triangles, 3)``, indices of vertices.
        normals: ``(triangles, 3, 3)``, a unit normal for each corner of each triangle, pointing outwards.
        paints: ``(triangles,)``, which paint each triangle has.
    """

    vertices: Floats
    triangles: Integers
    normals: Floats
    paints: Integers


def join(meshes: Sequence[Mesh]) -> Mesh:
    """Put meshes side by side into one."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.triangles + start for mesh, start in zip(meshes, starts, strict=True)]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.paints for mesh in meshes]),
    )


def mirrored(mesh: Mesh) -> Mesh:
    """Reflect a mesh in the plane y = 0, keeping its outside outside."""
    flip = np.array([1.0, -1.0, 1.0])
    return Mesh(mesh.vertices * flip, mesh.triangles[:, ::-1], mesh.normals[:, ::-1] * flip, mesh.paints)


def signed_volume(vertices: Floats, triangles: Integers) -> float:
    """Return the volume inside a closed mesh: above 0 when its triangles are counter-clockwise from outside."""
    corners = vertices[triangles]
    return float(np.einsum("ti,ti->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6)


def loft(rings: Floats, paints: Integers, caps: tuple[int, int], *, smooth: bool) -> Mesh:
    """Span a closed skin over rings of points and close both ends by flat fans.

    Args:
        rings: ``(rings, points, 3)``, each ring's points in the same order around.
        paints: ``(rings - 1, points)``, the paint of the patch between a ring and the next, a point and the next.
        caps: paints of the first and of the last ring's fan.
        smooth: whether normals vary smoothly over the skin; else each patch is flat. The fans are always flat.
    """
    count, points = rings.shape[:2]
    index = np.arange(count * points).reshape(count, points)
    here, there = index[:-1], index[1:]
    patches = np.stack([here, np.roll(here, -1, 1), np.roll(there, -1, 1), there], axis=-1).reshape(-1, 4)
    skin = np.concatenate([patches[:, [0, 1, 2]], patches[:, [0, 2, 3]]])
    first, last = index[0], index[-1]
    middles = count * points + np.arange(2)
    fans = [
        np.stack([np.full(points, middles[0]), np.roll(first, -1), first], axis=-1),
        np.stack([np.full(points, middles[1]), last, np.roll(last, -1)], axis=-1),
    ]
    vertices = np.concatenate([rings.reshape(-1, 3), rings[[0, -1]].mean(axis=1)])
    triangles = np.concatenate([skin, *fans])
    if signed_volume(vertices, triangles) < 0:
        skin, triangles = skin[:, ::-1], triangles[:, ::-1]
    normals = flat_normals(vertices, triangles)
    if smooth:
        normals[: len(skin)] = smooth_normals(vertices, skin)
    paint = np.concatenate([np.tile(paints.reshape(-1), 2), np.repeat(caps, points)])
    return Mesh(vertices, triangles, normals, paint)


def flat_normals(vertices: Floats, triangles: Integers) -> Floats:
    """Return each triangle's own unit normal at its three corners, ``(triangles, 3, 3)``."""
    return np.repeat(_unit(_areas(vertices, triangles))[:, None], 3, axis=1)


def smooth_normals(vertices: Floats, triangles: Integers) -> Floats:
    """Return at each corner the area-weighted mean of the normals around its vertex, ``(triangles, 3, 3)``."""
    areas = _areas(vertices, triangles)
    sums = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(sums, triangles[:, corner], areas)
    return _unit(sums)[triangles]


def _areas(vertices: Floats, triangles: Integers) -> Floats:
    corners = vertices[triangles]
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Floats = vectors / np.maximum(lengths, 1e-12)
    return unit
