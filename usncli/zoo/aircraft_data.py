"""The embedded data set: rendered aircraft with keypoints."""

from __future__ import annotations

from functools import lru_cache

import torch

from usncli.errors import InputError
from usncli.types import Sample, Task
from usncli.zoo.rendering.airframe import KEYPOINTS
from usncli.zoo.rendering.picture import Picture, render, scene_of

CACHED_IMAGES = 4096
"""Pictures that a data set keeps after rendering them."""
CACHED_PIXELS = 4096 * 64 * 64
"""And at most this many pixels (three bytes each), so that large pictures do not fill the memory."""


class AircraftData:
    """Pictures of an aircraft in flight, rendered when they are asked for; an `usncli.types.ImageData`.

    Image i of a seed is the same whatever ``count`` is and in whatever order images are asked for; of two sizes of one
    shape it shows the same scene. Pixels are multiples of 1/255, so a folder of PNG files holds exactly the same.

    Args:
        count: number of images.
        size: height and width in pixels; or ``(height, width)``.
        seed: of everything random; use another for other images.

    Attributes:
        task: `Task.KEYPOINTS`.
        label_names: names of the keypoints; left and right are the pilot's.
        labelled: True.

    Raises:
        InputError: no image, a size below 8 pixels, or a negative seed.
    """

    def __init__(self, count: int, size: int | tuple[int, int], seed: int) -> None:
        self.height, self.width = (size, size) if isinstance(size, int) else size
        if count < 1:
            raise InputError(f"aircraft: expected a count of at least 1 image, got {count}")
        if min(self.height, self.width) < 8:
            raise InputError(f"aircraft: expected a size of at least 8x8 pixels, got {self.height}x{self.width}")
        if seed < 0:
            raise InputError(f"aircraft: expected a seed of at least 0, got {seed}")
        self.count = count
        self.seed = seed
        self.task = Task.KEYPOINTS
        self.label_names = tuple(KEYPOINTS)
        self.labelled = True
        kept = max(1, min(CACHED_IMAGES, CACHED_PIXELS // (self.height * self.width)))
        self._render = lru_cache(maxsize=kept)(self._render_anew)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        if not -self.count <= index < self.count:
            raise IndexError(f"aircraft: expected an index below {self.count}, got {index}")
        index %= self.count
        picture = self._render(index)
        image = torch.from_numpy(picture.image).float() / 255.0
        return Sample(image, torch.from_numpy(picture.keypoints).float(), f"aircraft-{index:06d}")

    def picture(self, index: int) -> Picture:
        """Render image ``index`` as bytes, with its keypoints and the aircraft's coverage of each pixel."""
        return self._render(index)

    def _render_anew(self, index: int) -> Picture:
        return render(scene_of(index, self.seed), self.height, self.width)


def aircraft(count: int = 1000, size: int | tuple[int, int] = 64, seed: int = 0) -> AircraftData:
    """Return ``count`` rendered pictures of an aircraft with 8 keypoints; see `AircraftData`."""
    return AircraftData(count, size, seed)
