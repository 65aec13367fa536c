"""What a user may say about data beyond where they lie."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from usncli.errors import ConfigurationError

MEBIBYTE = 2**20


@dataclass(frozen=True)
class DataOptions:
    """How data are read.

    Attributes:
        annotations: COCO keypoint JSON for a folder of images that does not hold it; its image file names are relative
            to that folder.
        crop_margin: crop each annotated object out of its image and resize that, one sample an annotation: the box that
            holds the annotation's ``bbox`` and its labelled keypoints, widened on each side by this share of its
            longer side, then to the shape of the network's input, and shifted into the image. None: whole images,
            which then have one annotation each. COCO data only. The crop comes from the label: a deployed system
            needs a detector in its place.
        class_names: names of all classes, in the order of the network's outputs, where a folder a class does not hold
            them all or their sorted order is another. Empty: the sorted folder names.
        cache_bytes: decoded images (8 bits a channel at the network's input size, or 32 where the files hold more) are
            kept in memory up to this many bytes; what does not fit is decoded again each time.

    Raises:
        ConfigurationError: a margin that is not a number from 0 to 10, a class that is named twice, a negative cache.
    """

    annotations: Path | None = None
    crop_margin: float | None = None
    class_names: tuple[str, ...] = ()
    cache_bytes: int = 256 * MEBIBYTE

    def __post_init__(self) -> None:
        if self.crop_margin is not None and not (math.isfinite(self.crop_margin) and 0 <= self.crop_margin <= 10):
            raise ConfigurationError(f"crop margin: expected a number from 0 to 10, got {self.crop_margin}")
        twice = sorted({name for name in self.class_names if self.class_names.count(name) > 1})
        if twice:
            raise ConfigurationError(f"class names: expected each once, got {', '.join(twice)} more than once")
        if self.cache_bytes < 0:
            raise ConfigurationError(f"cache: expected a number of bytes from 0, got {self.cache_bytes}")
