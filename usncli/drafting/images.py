"""What images tell of a task, before the network that they are for is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from usncli.errors import ConfigurationError, InputError, UsnError
from usncli.loading.data import DataOptions, open_data
from usncli.loading.preprocessing import Preprocessing
from usncli.settings.parsing import ImageSize
from usncli.types import ImageData, Task

PROVISIONAL = Preprocessing(64, 64)
"""Opening data asks for a size and a colour; what is looked at here does not depend on them."""

NAMES_SHOWN = 4


@dataclass(frozen=True)
class FoundImages:
    """Images that were looked at.

    Attributes:
        location: where, as the user wrote it.
        options: how they are read.
        data: the images, at a provisional size.
        sizes: widths and heights of the images as stored; empty where that is not known.
    """

    location: str
    options: DataOptions
    data: ImageData
    sizes: frozenset[tuple[int, int]]

    @property
    def common_size(self) -> ImageSize | None:
        """The size of all images, if they have one."""
        return ImageSize(*next(iter(self.sizes))) if len(self.sizes) == 1 else None

    @property
    def labelled_task(self) -> Task | None:
        """What the images label: classes or keypoints; None without labels."""
        return self.data.task if self.data.labelled else None

    @property
    def labels(self) -> str:
        """What the images label, in words: ``10 classes``."""
        if self.labelled_task is None:
            return "no labels"
        count = len(self.data.label_names)
        return f"{count} {'classes' if self.labelled_task == Task.CLASSIFICATION else 'keypoints'}"

    def describe(self) -> str:
        """Return one line on the images."""
        names = self.data.label_names
        shown = f" ({', '.join(names[:NAMES_SHOWN])}{', ...' if len(names) > NAMES_SHOWN else ''})" if names else ""
        return f"{len(self.data):,} images{self._sizes_in_words()}, {self.labels}{shown}"

    def _sizes_in_words(self) -> str:
        if not self.sizes:
            return ""
        (least, *_, most) = sorted(self.sizes) * 2
        return f" of {_pixels(least)}" if least == most else f" from {_pixels(least)} to {_pixels(most)} pixels"


def look_at_images(location: str, tasks: Sequence[Task], options: DataOptions) -> FoundImages:
    """Open images for the task that they label; unlabelled ones for any.

    Args:
        location: see `usncli.loading.data.open_data`.
        tasks: those that may be, at least one.
        options: how the images are read.

    Raises:
        InputError: files are missing, unreadable or contradict each other.
        ConfigurationError: no task of these fits them.
    """
    opened: list[ImageData] = []
    errors: list[UsnError] = []
    for task in tasks:
        try:
            opened.append(open_data(location, PROVISIONAL, task, options))
        except (InputError, ConfigurationError) as error:
            errors.append(error)
    if not opened:
        # That the data are for another task says nothing here, what is wrong with the files does.
        raise next((error for error in errors if isinstance(error, InputError)), errors[0])
    data = next((data for data in opened if data.labelled), opened[0])
    return FoundImages(location, options, data, getattr(data, "sizes", frozenset()))


def _pixels(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
