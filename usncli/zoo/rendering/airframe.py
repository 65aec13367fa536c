"""The aircraft: a low-wing twin-jet of about 400 triangles, and where its keypoints are."""

from __future__ import annotations

from enum import IntEnum
from functools import cache
from typing import NamedTuple

import numpy as np

from usncli.zoo.rendering.mesh import Floats, Integers, Mesh, join, loft, mirrored


class Paint(IntEnum):
    """What a triangle is painted with; red and green wing tips tell left from right, as on real aircraft."""

    BODY = 0
    BELLY = 1
    ACCENT = 2
    WING = 3
    LEFT_TIP = 4
    RIGHT_TIP = 5
    ENGINE = 6
    DARK = 7


class Keypoint(NamedTuple):
    """A named point just inside the aircraft.

    Attributes:
        position: in the aircraft's axes.
        depth: how far below the skin it may lie and still count as seen; about the local thickness.
    """

    position: tuple[float, float, float]
    depth: float


KEYPOINTS = {
    "nose": Keypoint((0.97, 0.0, -0.03), 0.12),
    "left_wing_tip": Keypoint((-0.37, 0.93, 0.058), 0.10),
    "right_wing_tip": Keypoint((-0.37, -0.93, 0.058), 0.10),
    "left_tailplane_tip": Keypoint((-0.96, 0.40, 0.119), 0.08),
    "right_tailplane_tip": Keypoint((-0.96, -0.40, 0.119), 0.08),
    "fin_tip": Keypoint((-0.97, 0.0, 0.46), 0.08),
    "left_engine": Keypoint((0.22, 0.36, -0.10), 0.10),
    "right_engine": Keypoint((0.22, -0.36, -0.10), 0.10),
}
"""Keypoints by name, in the order of the labels; left and right are the pilot's."""

SIDES = 10
"""Points of a ring of the fuselage."""
STATIONS = np.array(
    [
        (1.00, 0.015, -0.030),
        (0.94, 0.055, -0.026),
        (0.84, 0.095, -0.014),
        (0.70, 0.120, 0.000),
        (0.25, 0.125, 0.000),
        (-0.30, 0.125, 0.000),
        (-0.62, 0.090, 0.028),
        (-0.90, 0.040, 0.066),
        (-1.00, 0.015, 0.080),
    ]
)
"""Rings of the fuselage from nose to tail: x, radius, and z of the middle."""


class Section(NamedTuple):
    """A wing section.

    Attributes:
        edge: its leading edge, in the aircraft's axes.
        chord: its length, backwards from the leading edge.
        thickness: its greatest thickness, as a share of the chord.
    """

    edge: tuple[float, float, float]
    chord: float
    thickness: float = 0.12


@cache
def airframe() -> Mesh:
    """Return the whole aircraft."""
    root, tip = Section((0.24, 0.06, -0.06), 0.48), Section((-0.28, 0.95, 0.06), 0.17)
    tail_root, tail_tip = Section((-0.72, 0.02, 0.07), 0.26), Section((-0.90, 0.42, 0.12), 0.12)
    left_wing = _wing(root, tip, Paint.WING, Paint.LEFT_TIP)
    right_wing = mirrored(_wing(root, tip, Paint.WING, Paint.RIGHT_TIP))
    tailplane = _wing(tail_root, tail_tip, Paint.WING, Paint.WING)
    engine = _engine(0.36)
    return join([_fuselage(), left_wing, right_wing, tailplane, mirrored(tailplane), _fin(), engine, mirrored(engine)])


@cache
def keypoint_positions() -> Floats:
    """Return the keypoints' positions in the aircraft's axes, ``(keypoints, 3)``."""
    return np.array([keypoint.position for keypoint in KEYPOINTS.values()])


@cache
def keypoint_depths() -> Floats:
    """Return how deep below the skin each keypoint still counts as seen, ``(keypoints,)``."""
    return np.array([keypoint.depth for keypoint in KEYPOINTS.values()])


def _circle(sides: int) -> Floats:
    """Return unit vectors (y, z) around the x axis, the first patch centred on top."""
    angles = (np.arange(sides) - 0.5) * (2 * np.pi / sides) + np.pi / 2
    circle: Floats = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return circle


def _fuselage() -> Mesh:
    rings = np.empty((len(STATIONS), SIDES, 3))
    rings[..., 0] = STATIONS[:, None, 0]
    rings[..., 1:] = STATIONS[:, None, None, 1] * _circle(SIDES)
    rings[..., 2] += STATIONS[:, None, 2]
    paints = np.full((len(STATIONS) - 1, SIDES), Paint.BODY, dtype=np.int64)
    paints[:, 4:7] = Paint.BELLY
    paints[2:7, [2, -2]] = Paint.ACCENT
    paints[1, [0, 1, -1]] = Paint.DARK
    return loft(rings, paints, (Paint.BODY, Paint.DARK), smooth=True)


def _profile(section: Section, up: Floats) -> Floats:
    """Return five points around a section, ``(5, 3)``; ``up`` is the direction of its thickness."""
    along = np.array([0.0, 0.3, 0.7, 1.0, 0.35]) * section.chord
    across = np.array([0.0, 0.6, 0.4, 0.0, -0.4]) * section.chord * section.thickness
    backwards = np.array([-1.0, 0.0, 0.0])
    points: Floats = np.array(section.edge) + along[:, None] * backwards + across[:, None] * up
    return points


def _between(root: Section, tip: Section, share: float) -> Section:
    edge = tuple(a + share * (b - a) for a, b in zip(root.edge, tip.edge, strict=True))
    return Section((edge[0], edge[1], edge[2]), root.chord + share * (tip.chord - root.chord))


def _wing(root: Section, tip: Section, paint: Paint, tip_paint: Paint, up: tuple[float, ...] = (0, 0, 1)) -> Mesh:
    sections = [root, _between(root, tip, 0.84), tip]
    rings = np.stack([_profile(section, np.array(up, dtype=float)) for section in sections])
    paints: Integers = np.repeat([[paint], [tip_paint]], rings.shape[1], axis=1)
    return loft(rings, paints, (paint, tip_paint), smooth=False)


def _fin() -> Mesh:
    root, tip = Section((-0.58, 0.0, 0.06), 0.38, 0.1), Section((-0.90, 0.0, 0.48), 0.16, 0.1)
    return _wing(root, tip, Paint.ACCENT, Paint.ACCENT, up=(0.0, 1.0, 0.0))


def _engine(y: float) -> Mesh:
    stations = np.array([(0.26, 0.058), (0.20, 0.072), (0.02, 0.068), (-0.10, 0.040)])
    rings = np.empty((len(stations), 8, 3))
    rings[..., 0] = stations[:, None, 0]
    rings[..., 1:] = stations[:, None, None, 1] * _circle(8)
    rings += np.array([0.0, y, -0.10])
    paints = np.full((len(stations) - 1, 8), Paint.ENGINE, dtype=np.int64)
    return loft(rings, paints, (Paint.DARK, Paint.DARK), smooth=True)
