"""Everything random about one picture, drawn at once and free of any resolution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from usncli.zoo.rendering.airframe import Paint
from usncli.zoo.rendering.mesh import Floats

NOISE_GRIDS = (4, 8, 16)
"""Nodes a side of each octave of the background's noise."""


@dataclass(frozen=True)
class Pose:
    """Where the aircraft and the camera are.

    Attributes:
        rotation: ``(3, 3)``, from the aircraft's axes to the camera's.
        offset: ``(3,)``, the aircraft's middle in the camera's axes.
        up: ``(3,)``, the world's up in the camera's axes.
        focal: focal length, in shorter sides of the picture.
    """

    rotation: Floats
    offset: Floats
    up: Floats
    focal: float


@dataclass(frozen=True)
class Light:
    """A sun and a sky.

    Attributes:
        direction: ``(3,)``, unit vector towards the sun in the camera's axes.
        sun: ``(3,)``, its strength in red, green and blue.
        ambient: ``(3,)``, the light from straight above that has no direction; from below comes less.
        gloss: strength of the highlights.
    """

    direction: Floats
    sun: Floats
    ambient: Floats
    gloss: float


@dataclass(frozen=True)
class Backdrop:
    """What is behind the aircraft.

    Attributes:
        zenith, haze, cloud: ``(3,)``, colours of the sky above, at the horizon, and of the clouds.
        ground: ``(2, 3)``, the two colours that the ground varies between.
        cover: share of the sky that clouds take, roughly.
        octaves: uniform noise in [0, 1], one square grid for each of `NOISE_GRIDS`.
    """

    zenith: Floats
    haze: Floats
    cloud: Floats
    ground: Floats
    cover: float
    octaves: tuple[Floats, ...]


@dataclass(frozen=True)
class Scene:
    """One picture, before it has a size.

    Attributes:
        pose, light, backdrop: see their classes.
        paints: ``(paints, 3)``, the colour of each `Paint`, in [0, 1].
        noise: standard deviation of the sensor's noise, in [0, 1] units.
        noise_seed: of the sensor's noise.
    """

    pose: Pose
    light: Light
    backdrop: Backdrop
    paints: Floats
    noise: float
    noise_seed: int


def sample_scene(generator: np.random.Generator) -> Scene:
    """Draw a scene.

    The nose points towards the camera's side of the world, so the left wing is right of the right wing in nearly
    every picture: a small network learns which is which.
    """
    pose = _sample_pose(generator)
    return Scene(
        pose=pose,
        light=_sample_light(generator, pose),
        backdrop=_sample_backdrop(generator),
        paints=_sample_paints(generator),
        noise=generator.uniform(0.004, 0.025),
        noise_seed=int(generator.integers(2**32)),
    )


def rotation_about(axis: int, degrees: float) -> Floats:
    """Return the matrix that turns counter-clockwise about an axis (0 x, 1 y, 2 z) of right-handed coordinates."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(3)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix[first, first] = matrix[second, second] = cosine
    matrix[second, first], matrix[first, second] = sine, -sine
    return matrix


def _sample_pose(generator: np.random.Generator) -> Pose:
    heading = generator.uniform(-45.0, 45.0)
    climb = generator.uniform(-7.0, 9.0)
    bank = generator.uniform(-17.0, 17.0)
    elevation = generator.uniform(-5.0, 36.0)
    tilt = generator.uniform(-5.0, 5.0)
    distance = generator.uniform(3.3, 4.0)
    aside = generator.uniform(-0.06, 0.06, size=2)
    # Heading 0 flies against the camera's line of sight, which is the world's y.
    attitude = rotation_about(2, heading - 90.0) @ rotation_about(1, -climb) @ rotation_about(0, bank)
    to_camera_axes = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    look = rotation_about(2, tilt) @ to_camera_axes @ rotation_about(0, elevation)
    focal = 1.65
    offset = np.array([*(aside * distance / focal), distance])
    return Pose(look @ attitude, offset, look[:, 2], focal)


def _sample_light(generator: np.random.Generator, pose: Pose) -> Light:
    height = np.radians(generator.uniform(12.0, 75.0))
    azimuth = np.radians(generator.uniform(-105.0, 105.0))
    towards_camera = _unit(np.array([0.0, 0.0, -1.0]) + pose.up[2] * pose.up)
    right = np.cross(towards_camera, pose.up)
    level = np.cos(azimuth) * towards_camera + np.sin(azimuth) * right
    strength = generator.uniform(0.55, 1.15)
    warmth = generator.uniform(-0.05, 0.12)
    ambient = generator.uniform(0.28, 0.55)
    return Light(
        direction=np.cos(height) * level + np.sin(height) * pose.up,
        sun=strength * np.array([1.0 + warmth, 1.0, 1.0 - warmth]),
        ambient=ambient * np.array([0.95, 1.0, 1.06]),
        gloss=generator.uniform(0.05, 0.6),
    )


def _sample_backdrop(generator: np.random.Generator) -> Backdrop:
    day = generator.uniform(0.65, 1.0)
    zenith = np.array([0.18, 0.42, 0.80]) * day + generator.uniform(-0.06, 0.06, 3)
    haze = np.array([0.72, 0.82, 0.92]) * day + generator.uniform(-0.06, 0.06, 3)
    lands = np.array(
        [
            [(0.20, 0.33, 0.14), (0.46, 0.45, 0.24)],
            [(0.06, 0.20, 0.33), (0.14, 0.32, 0.42)],
            [(0.50, 0.40, 0.26), (0.70, 0.59, 0.42)],
            [(0.12, 0.24, 0.12), (0.26, 0.36, 0.18)],
        ]
    )
    ground = lands[generator.integers(len(lands))] * day + generator.uniform(-0.05, 0.05, (2, 3))
    return Backdrop(
        zenith=zenith,
        haze=haze,
        cloud=np.full(3, day) + generator.uniform(-0.05, 0.0, 3),
        ground=ground,
        cover=generator.uniform(0.1, 0.65),
        octaves=tuple(generator.random((nodes, nodes)) for nodes in NOISE_GRIDS),
    )


def _sample_paints(generator: np.random.Generator) -> Floats:
    paints = np.empty((len(Paint), 3))
    body = _colour(generator.random(), generator.uniform(0.0, 0.25), generator.uniform(0.75, 1.0))
    paints[Paint.BODY] = body
    paints[Paint.BELLY] = body * generator.uniform(0.6, 0.95)
    paints[Paint.ACCENT] = _colour(generator.random(), generator.uniform(0.6, 1.0), generator.uniform(0.35, 0.9))
    paints[Paint.WING] = generator.uniform(0.55, 0.85) * np.array([0.97, 1.0, 1.02])
    paints[Paint.LEFT_TIP] = (0.85, 0.08, 0.08)
    paints[Paint.RIGHT_TIP] = (0.06, 0.62, 0.15)
    paints[Paint.ENGINE] = generator.uniform(0.35, 0.8)
    paints[Paint.DARK] = 0.05
    return np.clip(paints, 0.0, 1.0)


def _colour(hue: float, saturation: float, value: float) -> Floats:
    """Return red, green and blue of a hue, a saturation and a value in [0, 1]."""
    wheel = np.clip(np.abs((hue * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1, 0.0, 1.0)
    colour: Floats = value * (1 - saturation + saturation * wheel)
    return colour


def _unit(vector: Floats) -> Floats:
    unit: Floats = vector / np.linalg.norm(vector)
    return unit
