"""Image files: checking them, decoding them, and bringing them to the network's size and colour.

Files are opened before Pillow sees them: given a path, Pillow 13.0 maps uncompressed TIFF files into memory and then
misreads those that are stored on their side.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from usncli.errors import InputError
from usncli.loading.preprocessing import Colour, Preprocessing

ORIENTATION = 0x0112
"""EXIF tag that says how an image is turned or flipped to stand upright."""

AS_STORED = 1

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What each value of the tag asks for; 5 to 8 swap width and height."""

UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    IndexError,
    TypeError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow's decoders raise on files that are damaged or hostile."""

UNKNOWN_SCALE = ("I", "F")
"""Modes of Pillow, 32 bits a pixel, whose numbers may be of any scale: `_fine_grey` refuses those it cannot read."""

JPEG_END = b"\xff\xd9"
JPEG_TAIL = 4096
LARGEST_16_BIT = 65535

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels of the upright image."""


class ImageFacts(NamedTuple):
    """What a check of an image file found.

    Attributes:
        stored: width and height as stored.
        orientation: value of the EXIF tag, `AS_STORED` where there is none. Of a PNG, only an EXIF chunk that comes
            before the pixels counts: looking for a later one would decode the file.
    """

    stored: tuple[int, int]
    orientation: int

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height once the orientation is applied."""
        return self.stored[::-1] if self.orientation >= 5 else self.stored


def check_image_file(path: Path) -> ImageFacts:
    """Check that a file is a whole image, without decoding it where its format allows.

    PNG: the check sum of every chunk. JPEG: the end marker stands near the end. All others are decoded.

    Raises:
        InputError: what is wrong, without the file's name: the caller gathers many.
    """
    if not path.is_file():
        raise InputError("no such file" if not path.exists() else "not a file")
    if path.stat().st_size == 0:
        raise InputError("an empty file")
    try:
        with path.open("rb") as file, Image.open(file) as image:
            if image.format == "PNG" and image.mode not in UNKNOWN_SCALE:
                facts = ImageFacts(image.size, _orientation(image))
                image.verify()
                return facts
            if image.format != "JPEG" or not _ends_like_jpeg(path):
                image.load()
            if image.mode in UNKNOWN_SCALE:
                _fine_grey(image)
            return ImageFacts(image.size, _orientation(image))
    except UNREADABLE as error:
        raise InputError(_reason(error)) from error


def read_image(path: Path, orientation: int = AS_STORED) -> Image.Image:
    """Decode an image file; of several frames the first.

    Args:
        path: the file.
        orientation: the turn or flip to apply, see `UPRIGHT`.

    Raises:
        InputError: the file is not an image, or is damaged.
    """
    try:
        with path.open("rb") as file, Image.open(file) as image:
            image.load()
            return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image.copy()
    except UNREADABLE as error:
        raise InputError(f"{path}: expected an image, but it is {_reason(error)}; replace or remove it") from error


def to_array(image: Image.Image, preprocessing: Preprocessing, box: Box | None = None) -> NDArray[np.generic]:
    """Convert colour, crop and resize.

    Transparency is dropped, as ``convert("RGB")`` and OpenCV do. Grey is ITU-R BT.601 luma. Resizing is Pillow's
    bilinear filter, antialiased.

    Args:
        image: of any mode of Pillow.
        preprocessing: size and colour wanted.
        box: the part to take, inside the image; all by default.

    Returns:
        ``(channels, height, width)``; uint8 where the image has 8 bits a channel, else float32 in [0, 1].

    Raises:
        InputError: numbers of unknown scale: floating point or 32-bit integers outside the 16-bit range.
    """
    size = (preprocessing.width, preprocessing.height)
    if image.mode.startswith(("I", "F")):
        grey = _fine_grey(image).resize(size, Image.Resampling.BILINEAR, box=box)
        plane = np.clip(np.asarray(grey, dtype=np.float32), 0.0, 1.0)
        return np.repeat(plane[None], preprocessing.channels, axis=0)
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")
    image = image.convert("L" if preprocessing.colour == Colour.GREY else "RGB")
    if image.size != size or box is not None:
        image = image.resize(size, Image.Resampling.BILINEAR, box=box)
    pixels = np.asarray(image, dtype=np.uint8)
    return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))


def _fine_grey(image: Image.Image) -> Image.Image:
    """Return an image of 16 or 32 bits as floating point in [0, 1]."""
    scale = LARGEST_16_BIT if image.mode.startswith("I") else 1
    values = np.asarray(image).astype(np.float32) / np.float32(scale)
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise InputError(f"mode {image.mode} with numbers outside [0, 1] (or 0 to 65535): save it with 8 or 16 bits")
    return Image.fromarray(values)


def _orientation(image: Image.Image) -> int:
    """Return the orientation that an image states; a malformed statement is none, as in most viewers."""
    try:
        if image.format == "PNG":
            exif = Image.Exif()
            exif.load(image.info.get("exif", b""))
        else:
            exif = image.getexif()
        value = exif.get(ORIENTATION, AS_STORED)
    except (SyntaxError, ValueError, OSError, EOFError, struct.error):
        return AS_STORED
    return value if value in UPRIGHT else AS_STORED


def _ends_like_jpeg(path: Path) -> bool:
    """Say whether the end marker stands near the end of the file; inside coded data it cannot occur."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - JPEG_TAIL))
        return size > 4 * JPEG_TAIL and JPEG_END in file.read()


def _reason(error: BaseException) -> str:
    if isinstance(error, PermissionError):
        return "a file that may not be read"
    if isinstance(error, Image.DecompressionBombError):
        return "an image of too many pixels"
    if isinstance(error, UnidentifiedImageError):
        return "no image of a known format"
    if "truncated" in str(error).lower():
        return "a truncated image"
    return "a damaged image"
