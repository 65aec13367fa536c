"""Rendered pictures: what is seen where, what hides what, light, and sizes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from usncli.zoo.rendering.airframe import KEYPOINTS, airframe, keypoint_positions
from usncli.zoo.rendering.background import paint_background
from usncli.zoo.rendering.camera import project
from usncli.zoo.rendering.keypoints import OCCLUDED, OUTSIDE, VISIBLE
from usncli.zoo.rendering.mesh import Floats
from usncli.zoo.rendering.picture import render, scene_of
from usncli.zoo.rendering.scene import Pose, Scene, rotation_about

SCENES = range(40)
NAMES = list(KEYPOINTS)


def seen_from(axis: tuple[float, float, float], up: tuple[float, float, float]) -> Scene:
    """A scene whose camera looks at the aircraft from a direction of the aircraft's axes, 5 units away."""
    forward = -np.array(axis)
    right = np.cross(forward, up)
    rotation = np.stack([right, -np.array(up), forward])
    pose = Pose(rotation, np.array([0.0, 0.0, 5.0]), up=rotation @ [0.0, 0.0, 1.0], focal=1.65)
    return replace(scene_of(0, 0), pose=pose)


def visibility(scene: Scene) -> dict[str, float]:
    return dict(zip(NAMES, render(scene, 64, 64).keypoints[:, 2].tolist(), strict=True))


def test_rotations_turn_counter_clockwise() -> None:
    np.testing.assert_allclose(rotation_about(2, 90.0) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(rotation_about(0, 90.0) @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(rotation_about(1, 90.0) @ [0, 0, 1], [1, 0, 0], atol=1e-12)


def test_keypoints_seen_lie_on_the_aircraft() -> None:
    on_it = total = 0
    for index in SCENES:
        drawn = render(scene_of(index, 0), 128, 128)
        for x, y, seen in drawn.keypoints:
            if seen:
                # A wing seen edge-on is thinner than a pixel: its middle may lie beside the pixels that it covers.
                near = drawn.coverage[max(int(y) - 1, 0) : int(y) + 2, max(int(x) - 1, 0) : int(x) + 2]
                assert near.max() > 0
                total += 1
                on_it += drawn.coverage[int(y), int(x)] > 0
    assert on_it / total > 0.97


def test_the_picture_without_the_aircraft_differs_only_where_it_is() -> None:
    for index in range(5):
        scene = replace(scene_of(index, 3), noise=0.0)
        drawn = render(scene, 64, 64)
        empty = paint_background(scene.backdrop, scene.pose, 64, 64)
        difference = np.abs(drawn.image / 255.0 - np.clip(empty, 0, 1)).max(axis=0)
        assert difference[drawn.coverage == 0].max() <= 0.5 / 255 + 1e-9
        assert difference[drawn.coverage == 1].mean() > 0.05


def test_left_is_the_pilots() -> None:
    from_front = render(seen_from((1, 0, 0), (0, 0, 1)), 64, 64)
    from_above = render(seen_from((0, 0, 1), (1, 0, 0)), 64, 64)
    for name in ("wing_tip", "tailplane_tip", "engine"):
        left, right = NAMES.index(f"left_{name}"), NAMES.index(f"right_{name}")
        assert from_front.keypoints[left, 0] > 32 > from_front.keypoints[right, 0]
        assert from_above.keypoints[left, 0] < 32 < from_above.keypoints[right, 0]
    red, green, _ = from_above.image.astype(float)[:, :, :20].reshape(3, -1)
    left_tip = from_above.coverage[:, :20].reshape(-1) == 1
    assert (red - green)[left_tip].max() > 50


def test_what_hides_what() -> None:
    from_left = visibility(seen_from((0, 1, 0), (0, 0, 1)))
    assert (
        from_left["left_wing_tip"] == from_left["nose"] == from_left["left_engine"] == from_left["fin_tip"] == VISIBLE
    )
    assert from_left["right_engine"] == OCCLUDED
    from_below = visibility(seen_from((0, 0, -1), (1, 0, 0)))
    assert from_below["left_engine"] == from_below["right_wing_tip"] == VISIBLE
    assert from_below["fin_tip"] == OCCLUDED, "the tail is below it"
    from_front_below = visibility(
        seen_from(tuple(np.array([2.0, 0, -1]) / 5**0.5), tuple(np.array([1.0, 0, 2]) / 5**0.5))
    )
    assert from_front_below["fin_tip"] == OCCLUDED
    assert from_front_below["nose"] == VISIBLE


def segment_crosses(origin: Floats, target: Floats, corners: Floats) -> np.ndarray:
    """Whether the segment crosses each triangle ``(triangles, 3, 3)``: signs of volumes, nothing of the renderer's."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]

    def side(first: Floats, second: Floats, third: Floats, point: Floats) -> Floats:
        return np.einsum("ti,ti->t", np.cross(second - first, third - first), point - first)

    apart = side(a, b, c, origin) * side(a, b, c, target) < 0
    line = np.broadcast_to(origin, a.shape)
    signs = np.stack([side(line, a, b, target), side(line, b, c, target), side(line, c, a, target)])
    return apart & ((signs > 0).all(axis=0) | (signs < 0).all(axis=0))


def test_occluded_means_a_nearer_surface_and_visible_means_none() -> None:
    mesh = airframe()
    corners = mesh.vertices[mesh.triangles]
    occluded = 0
    for index in SCENES:
        scene = scene_of(index, 1)
        camera = -scene.pose.rotation.T @ scene.pose.offset
        labels = render(scene, 64, 64).keypoints[:, 2]
        for (name, keypoint), label in zip(KEYPOINTS.items(), labels, strict=True):
            position = np.array(keypoint.position)
            towards = (camera - position) / np.linalg.norm(camera - position)
            # Depth is along the line of sight's axis, the segment is along the ray: off-axis they differ a little.
            clearly_nearer = segment_crosses(camera, position + 1.12 * keypoint.depth * towards, corners).any()
            perhaps_nearer = segment_crosses(camera, position + 0.99 * keypoint.depth * towards, corners).any()
            if label == OCCLUDED:
                occluded += 1
                assert perhaps_nearer, (index, name)
            elif label == VISIBLE:
                assert not clearly_nearer, (index, name)
    assert occluded > 10


def test_outside_the_picture_nothing_is_labelled() -> None:
    scene = scene_of(2, 0)
    aside = replace(scene, pose=replace(scene.pose, offset=scene.pose.offset + np.array([1.0, 0.0, 0.0])))
    keypoints = render(aside, 64, 64).keypoints
    points = project(keypoint_positions(), aside.pose, 64, 64).points
    outside = (points >= 64).any(axis=1) | (points < 0).any(axis=1)
    assert 0 < outside.sum() < 8
    np.testing.assert_array_equal(keypoints[:, 2] == OUTSIDE, outside)
    assert (keypoints[outside] == 0).all()
    np.testing.assert_allclose(keypoints[~outside, :2], points[~outside])


@pytest.mark.parametrize("index", range(4))
def test_a_size_scales_keypoints_and_picture(index: int) -> None:
    scene = replace(scene_of(index, 0), noise=0.0)
    small, large = render(scene, 32, 32), render(scene, 96, 96)
    np.testing.assert_allclose(small.keypoints[:, :2] * 3, large.keypoints[:, :2], atol=1e-9)
    np.testing.assert_array_equal(small.keypoints[:, 2], large.keypoints[:, 2])
    averaged = large.coverage.reshape(32, 3, 32, 3).mean(axis=(1, 3))
    assert np.abs(averaged - small.coverage).mean() < 0.02


def test_a_wider_picture_shows_more_on_both_sides() -> None:
    scene = replace(scene_of(1, 0), noise=0.0)
    square, wide = render(scene, 48, 48), render(scene, 48, 80)
    assert wide.image.shape == (3, 48, 80)
    np.testing.assert_array_equal(wide.coverage[:, 16:64], square.coverage)
    seen = square.keypoints[:, 2] > 0
    np.testing.assert_allclose(wide.keypoints[seen, :2], square.keypoints[seen, :2] + [16, 0])


def test_light_makes_faces_brighter_and_facing_away_leaves_the_ambient_light() -> None:
    scene = replace(seen_from((0, 0, 1), (1, 0, 0)), noise=0.0, paints=np.full((8, 3), 0.5))
    above, below = np.array([0.0, 0.0, -1.0]), np.array([0.0, 0.0, 1.0])

    def brightness(direction: Floats) -> float:
        light = replace(scene.light, direction=direction, sun=np.full(3, 0.5), ambient=np.full(3, 0.4), gloss=0.0)
        drawn = render(replace(scene, light=light), 64, 64)
        return float(drawn.image[:, drawn.coverage == 1].mean() / 255)

    # Seen from above, nearly every face looks up: 0.5 x (0.4 + 0.5 cos) from above, 0.5 x 0.4 from below.
    assert brightness(above) == pytest.approx(0.45, abs=0.03)
    assert brightness(below) == pytest.approx(0.20, abs=0.01)
    half = brightness(np.array([np.sin(np.pi / 3), 0.0, -np.cos(np.pi / 3)]))
    assert brightness(below) + 0.05 < half < brightness(above) - 0.05


def test_the_edge_is_smoothed() -> None:
    coverage = render(scene_of(1, 0), 64, 64).coverage
    assert set(np.unique(coverage)) == {0.0, 0.25, 0.5, 0.75, 1.0}


def test_noise_is_as_strong_as_the_scene_says() -> None:
    scene = scene_of(5, 0)
    clean = render(replace(scene, noise=0.0), 64, 64).image.astype(float)
    noisy = render(replace(scene, noise=0.02), 64, 64).image.astype(float)
    assert ((noisy - clean) / 255).std() == pytest.approx(0.02, rel=0.1)
