"""Images inside a page: PNG or JPEG as base64, no larger than there is room for."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image
from torch import Tensor

QUALITIES = (90, 75, 60, 45)
"""Of JPEG, tried in this order before an image is made smaller."""
_SMALLER = 0.7
_TYPES = {"iVBORw0KGgo": "image/png", "/9j/": "image/jpeg"}
"""Media types, by what base64 of such a file begins with."""


def encode(image: Tensor) -> str:
    """Return an image ``(1 or 3, height, width)`` in [0, 1] as PNG in base64, exact to 1/255."""
    return _base64(_written(_picture(image), "PNG", optimize=True))


def encode_within(image: Tensor, side: int, most: int) -> str:
    """Return an image in base64, as PNG where there is room for it, else as JPEG.

    Args:
        image: ``(1 or 3, height, width)`` in [0, 1].
        side: pixels of its longer side, at most; a larger image is scaled down.
        most: bytes before base64, which makes four of three; at least 2,000.
    """
    picture = _picture(image)
    picture.thumbnail((side, side))
    found = _written(picture, "PNG", optimize=True)
    while len(found) > most:
        for quality in QUALITIES:
            found = _written(picture, "JPEG", quality=quality, optimize=True)
            if len(found) <= most:
                break
        picture = picture.resize((_scaled(picture.width), _scaled(picture.height)))
    return _base64(found)


def media_type(encoded: str) -> str:
    """Return the media type of an encoded image.

    Raises:
        ValueError: it is neither PNG nor JPEG in base64.
    """
    base64.b64decode(encoded, validate=True)
    for beginning, found in _TYPES.items():
        if encoded.startswith(beginning):
            return found
    raise ValueError(f"expected PNG or JPEG in base64, got something that begins with {encoded[:12]!r}")


def data_address(encoded: str) -> str:
    """Return the ``data:`` address of an encoded image."""
    return f"data:{media_type(encoded)};base64,{encoded}"


def _picture(image: Tensor) -> Image.Image:
    levels = (image.detach().cpu().float().clamp(0, 1) * 255).round().byte()
    array = levels[0].numpy() if levels.shape[0] == 1 else levels.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(array)


def _written(picture: Image.Image, format_: str, **options: Any) -> bytes:
    written = io.BytesIO()
    picture.save(written, format=format_, **options)
    return written.getvalue()


def _scaled(length: int) -> int:
    return max(1, int(length * _SMALLER))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
