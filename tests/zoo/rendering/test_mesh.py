"""Meshes: closed, wound outwards, mirrored; the aircraft is symmetric."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from usncli.zoo.rendering.airframe import KEYPOINTS, Paint, airframe
from usncli.zoo.rendering.mesh import Floats, Integers, Mesh, join, loft, mirrored, signed_volume


def box(width: float, *, backwards: bool = False) -> Mesh:
    square = np.array([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    rings = np.stack([square, square + np.array([width, 0.0, 0.0])])
    paints = np.arange(4)[None]
    return loft(rings[:, ::-1] if backwards else rings, paints, (8, 9), smooth=False)


def edges_by_position(vertices: Floats, triangles: Integers) -> Counter[tuple[tuple[float, ...], ...]]:
    corners = [[tuple(point) for point in triangle] for triangle in vertices[triangles].round(9).tolist()]
    return Counter((points[k], points[(k + 1) % 3]) for points in corners for k in range(3))


@pytest.mark.parametrize("backwards", [False, True])
def test_box_is_closed_and_wound_outwards_whatever_the_order_of_its_points(backwards: bool) -> None:
    mesh = box(3.0, backwards=backwards)
    assert signed_volume(mesh.vertices, mesh.triangles) == pytest.approx(3.0)
    from_middle = mesh.vertices[mesh.triangles].mean(axis=1) - [1.5, 0.5, 0.5]
    assert (np.einsum("ti,ti->t", from_middle, mesh.normals[:, 0]) > 0).all()
    assert Counter(mesh.paints.tolist()) == {0: 2, 1: 2, 2: 2, 3: 2, 8: 4, 9: 4}


def test_every_edge_of_the_aircraft_is_shared_by_two_triangles() -> None:
    mesh = airframe()
    edges = edges_by_position(mesh.vertices, mesh.triangles)
    assert all(count == 1 for count in edges.values())
    assert all((end, start) in edges for start, end in edges)


def test_normals_are_of_unit_length_and_on_the_outer_side() -> None:
    mesh = airframe()
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=-1), 1.0)
    corners = mesh.vertices[mesh.triangles]
    outwards = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (np.einsum("ti,tki->tk", outwards, mesh.normals) > 0).all()


def test_mirroring_keeps_the_outside_outside() -> None:
    mesh = mirrored(box(2.0))
    assert signed_volume(mesh.vertices, mesh.triangles) == pytest.approx(2.0)
    assert mesh.vertices[:, 1].min() == -1.0


def test_join_keeps_each_parts_triangles() -> None:
    first, second = box(1.0), box(2.0)
    both = join([first, second])
    np.testing.assert_array_equal(
        both.vertices[both.triangles[len(first.triangles) :]], second.vertices[second.triangles]
    )


def test_the_aircraft_is_symmetric_but_for_its_wing_tips() -> None:
    mesh = airframe()

    def places(mesh: Mesh, paint: Paint) -> set[tuple[float, ...]]:
        chosen = mesh.vertices[mesh.triangles[mesh.paints == paint]].mean(axis=1)
        return {tuple(place) for place in (chosen.round(6) + 0.0).tolist()}

    assert places(mesh, Paint.LEFT_TIP) == places(mirrored(mesh), Paint.RIGHT_TIP)
    assert min(y for _, y, _ in places(mesh, Paint.LEFT_TIP)) > 0.7
    for paint in (Paint.WING, Paint.ENGINE):
        assert places(mesh, paint) == places(mirrored(mesh), paint)


def test_left_and_right_keypoints_mirror_each_other() -> None:
    pairs = [name for name in KEYPOINTS if name.startswith("left_")]
    assert len(KEYPOINTS) == 8
    assert len(pairs) == 3
    for name in pairs:
        x, y, z = KEYPOINTS[name].position
        assert y > 0, "left is the pilot's: positive y"
        assert KEYPOINTS[name.replace("left_", "right_")].position == (x, -y, z)
