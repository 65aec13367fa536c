"""Images that come as numbers instead of files, brought to the network's size and colour."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from usncli.errors import InputError
from usncli.loading.datasets.images import to_array
from usncli.loading.preprocessing import Colour, Preprocessing

LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601, as Pillow's conversion to grey."""

CHANNELS = (1, 2, 3, 4)
"""Grey, grey and alpha, rgb, rgb and alpha."""


def image_fault(pixels: NDArray[Any]) -> str | None:
    """Return what keeps an array from being an image, or images, in the [0, 1] scale; None if nothing does.

    Args:
        pixels: uint8, or floating point in [0, 1].
    """
    if pixels.dtype == np.uint8:
        return None
    if not np.issubdtype(pixels.dtype, np.floating):
        return f"expected uint8 or floating point in [0, 1], got {pixels.dtype}"
    low, high = float(pixels.min(initial=0)), float(pixels.max(initial=0))
    if 0 <= low <= high <= 1:
        return None
    if np.isnan(low) or np.isnan(high):
        return "holds numbers that are NaN"
    return f"expected numbers in [0, 1], got {low:g} to {high:g}; scale them, or store uint8"


def to_network_input(pixels: NDArray[Any], preprocessing: Preprocessing) -> NDArray[np.generic]:
    """Convert colour and resize as `to_array` does for files; an image of the right size and colour is left as it is.

    Args:
        pixels: ``(height, width)`` or ``(height, width, channels)``, one of `CHANNELS`; uint8, or floating point in
            [0, 1]. Alpha is dropped.
        preprocessing: size and colour wanted.

    Returns:
        ``(channels, height, width)``, uint8 or float32 in [0, 1], as the image came.

    Raises:
        InputError: another shape.
    """
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or pixels.shape[2] not in CHANNELS or 0 in pixels.shape:
        raise InputError(f"expected an image of shape (height, width[, 1 to 4 channels]), got {pixels.shape}")
    pixels = pixels[:, :, :3] if pixels.shape[2] >= 3 else pixels[:, :, :1]
    if pixels.dtype == np.uint8:
        squeezed = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
        return to_array(Image.fromarray(np.ascontiguousarray(squeezed)), preprocessing)
    planes = [_resized(pixels[:, :, channel], preprocessing) for channel in range(pixels.shape[2])]
    if preprocessing.colour == Colour.GREY and len(planes) == 3:
        planes = [sum((weight * plane for weight, plane in zip(LUMA, planes, strict=True)), np.zeros_like(planes[0]))]
    if preprocessing.colour == Colour.RGB and len(planes) == 1:
        planes = planes * 3
    return np.stack(planes).clip(0.0, 1.0)


def _resized(plane: NDArray[Any], preprocessing: Preprocessing) -> NDArray[np.float32]:
    size = (preprocessing.width, preprocessing.height)
    exact = np.ascontiguousarray(plane, dtype=np.float32)
    if exact.shape == size[::-1]:
        return exact
    return np.asarray(Image.fromarray(exact).resize(size, Image.Resampling.BILINEAR), dtype=np.float32)
