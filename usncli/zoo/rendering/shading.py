"""Light on the aircraft: Lambert's law, light from the sky, and Blinn's highlights (Blinn 1977)."""

from __future__ import annotations

import numpy as np

from usncli.zoo.rendering.mesh import Floats, Mesh
from usncli.zoo.rendering.rasterising import Fragments
from usncli.zoo.rendering.scene import Scene

SHININESS = 24
"""Exponent of the highlights."""


def shade(fragments: Fragments, mesh: Mesh, scene: Scene) -> Floats:
    """Return the colour of each fragment, ``(3, fragments)``, at least 0 and perhaps above 1."""
    light = scene.light
    to_viewer = np.array([0.0, 0.0, -1.0])
    halfway = light.direction + to_viewer
    halfway /= max(float(np.linalg.norm(halfway)), 1e-9)
    # Dot products are linear: taken at the corners of triangles, they are interpolated over the pixels.
    directions = scene.pose.rotation.T @ np.stack([light.direction, halfway, scene.pose.up], axis=1)
    at_corners = mesh.normals @ directions
    facing_sun, facing_halfway, facing_up = _interpolate(at_corners[fragments.triangle], fragments.weights)
    lit = np.maximum(facing_sun, 0.0)
    sky = 0.75 + 0.25 * facing_up
    reflected = np.outer(light.sun, lit) + np.outer(light.ambient, sky)
    highlight = light.gloss * np.where(lit > 0, np.maximum(facing_halfway, 0.0) ** SHININESS, 0.0)
    colour: Floats = scene.paints.T[:, mesh.paints[fragments.triangle]] * reflected + np.outer(light.sun, highlight)
    return colour


def _interpolate(at_corners: Floats, weights: Floats) -> Floats:
    """Interpolate values ``(fragments, 3 corners, values)`` by ``(fragments, 3)``, to ``(values, fragments)``."""
    result: Floats = np.einsum("fkd,fk->df", at_corners, weights)
    return result
