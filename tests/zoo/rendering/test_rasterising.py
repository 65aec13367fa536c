"""Scan conversion against a brute-force test of every pixel, and hidden surfaces."""

from __future__ import annotations

import numpy as np
import pytest

from usncli.zoo.rendering.mesh import Floats, Integers
from usncli.zoo.rendering.rasterising import Fragments, facing, nearest_inverse_depth, rasterise


def draw(points: Floats, inverse_depth: Floats, triangles: Integers, size: int) -> Fragments:
    return rasterise(facing(points, inverse_depth, triangles), size, size)


def random_triangles(seed: int, count: int = 12) -> tuple[Floats, Floats, Integers]:
    generator = np.random.default_rng(seed)
    points = generator.uniform(-6.0, 30.0, (3 * count, 2))
    return points, generator.uniform(0.2, 1.0, 3 * count), np.arange(3 * count).reshape(count, 3)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_a_test_of_every_pixel_against_every_triangle(seed: int) -> None:
    points, inverse_depth, triangles = random_triangles(seed)
    fragments = draw(points, inverse_depth, triangles, 24)
    found = dict(zip(fragments.pixel.tolist(), fragments.triangle.tolist(), strict=True))
    for pixel in range(24 * 24):
        middle = np.array([pixel % 24 + 0.5, pixel // 24 + 0.5, 1.0])
        nearest, winner = 0.0, None
        for number, triangle in enumerate(triangles):
            corners = np.column_stack([points[triangle], np.ones(3)])
            if np.linalg.det(corners) >= 0:  # its back is to us
                continue
            weights = np.linalg.solve(corners.T, middle)
            if weights.min() >= 0 and weights @ inverse_depth[triangle] > nearest:
                nearest, winner = weights @ inverse_depth[triangle], number
        assert found.get(pixel) == winner


def test_weights_and_depth_are_those_of_the_pixels_middle() -> None:
    points, inverse_depth, triangles = random_triangles(7)
    fragments = draw(points, inverse_depth, triangles, 24)
    corners = triangles[fragments.triangle]
    middles = np.stack([fragments.pixel % 24 + 0.5, fragments.pixel // 24 + 0.5], axis=-1)
    np.testing.assert_allclose(np.einsum("fk,fki->fi", fragments.weights, points[corners]), middles, atol=1e-9)
    np.testing.assert_allclose(
        np.einsum("fk,fk->f", fragments.weights, inverse_depth[corners]), fragments.inverse_depth
    )
    np.testing.assert_allclose(fragments.weights.sum(axis=1), 1.0)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_triangle_wins_whatever_the_order(order: tuple[int, int]) -> None:
    # Both cover the whole picture; counter-clockwise to the eye, with y down.
    whole = np.array([[-1.0, -1.0], [-1.0, 60.0], [60.0, -1.0]])
    points = np.concatenate([whole, whole])
    inverse_depth = np.repeat([1.0, 0.5], 3)
    triangles = np.arange(6).reshape(2, 3)[list(order)]
    fragments = draw(points, inverse_depth, triangles, 8)
    assert len(fragments.pixel) == 64
    assert (fragments.triangle == order.index(0)).all()


def test_triangles_that_pass_through_each_other_meet_on_a_line() -> None:
    whole = np.array([[-20.0, -20.0], [-20.0, 60.0], [60.0, -20.0]])
    points = np.concatenate([whole, whole])
    level = np.full(3, 0.5)
    sloped = 0.5 + (whole[:, 0] - 4.0) * 0.005  # nearer than the level one right of x = 4
    fragments = draw(points, np.concatenate([level, sloped]), np.arange(6).reshape(2, 3), 8)
    np.testing.assert_array_equal(fragments.triangle.reshape(8, 8), np.tile(np.repeat([0, 1], 4), (8, 1)))


def test_backs_and_slivers_are_not_drawn() -> None:
    points = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0], [4.0, 4.0]])
    triangles = np.array([[0, 1, 2], [1, 2, 3]])
    assert len(draw(points, np.ones(4), triangles, 8).pixel) == 0
    assert len(draw(points, np.ones(4), triangles[:, ::-1], 8).pixel) > 0


def test_a_shared_edge_leaves_no_gap() -> None:
    points = np.array([[0.0, 0.0], [0.0, 16.0], [16.0, 16.0], [16.0, 0.0], [7.3, 5.1]])
    triangles = np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])
    assert len(draw(points, np.ones(5), triangles, 16).pixel) == 256


def test_nearest_surface_at_a_point() -> None:
    points, inverse_depth, triangles = random_triangles(3)
    surfaces = facing(points, inverse_depth, triangles)
    fragments = rasterise(surfaces, 24, 24)
    middles = np.stack([np.arange(576) % 24 + 0.5, np.arange(576) // 24 + 0.5], axis=-1)
    expected = np.zeros(576)
    expected[fragments.pixel] = fragments.inverse_depth
    np.testing.assert_allclose(nearest_inverse_depth(surfaces, middles), expected, atol=1e-12)
