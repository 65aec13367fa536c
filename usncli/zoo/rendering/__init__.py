"""A small renderer in numpy: an aircraft-like object, its light, its background and its keypoints.

Axes of the aircraft: x forward, y to the left wing, z up; it is about 2 units long. Axes of the world: z up, and the
camera looks along y. Axes of the camera: x right, y down, z forward. Pixel (i, j) covers [i, i + 1) x [j, j + 1) of
the picture's continuous coordinates, so the middle of the picture is (width / 2, height / 2).
"""
