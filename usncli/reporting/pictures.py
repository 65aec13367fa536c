"""Pictures that a run keeps: a thumbnail of each image, and images beside their worst perturbed version."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from usncli.errors import InputError
from usncli.files import write_json_atomically
from usncli.reporting.image_data import media_type

PICTURES_NAME = "pictures.json"
SCHEMA_VERSION = 1
Points = tuple[tuple[float, float], ...]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Picture:
    """One image, clean and perturbed.

    Attributes:
        image: its name in the data set.
        perturbation: label of the range.
        verdict: of this image under that range.
        theta: parameters of the perturbed version, in words such as ``brightness -0.08``.
        clean: PNG or JPEG, base64; it may have fewer pixels than the image.
        perturbed: the same of the perturbed one.
        width: of the image, pixels.
        height: of the image, pixels.
        reference: keypoints that must stay, x and y in pixels of the image; empty for classification.
        moved: keypoints that it predicts on the perturbed one.
        tau: how far a keypoint may move, in pixels.
        reference_name: where the reference comes from, in a few words.
        answers: what it answers on the clean and on the perturbed image, in words; empty for keypoints.
    """

    image: str
    perturbation: str
    verdict: str
    theta: str
    clean: str
    perturbed: str
    width: int
    height: int
    reference: Points = ()
    moved: Points = ()
    tau: float | None = None
    reference_name: str = "predicted on the clean image"
    answers: tuple[str, str] | None = None

    @property
    def largest_move(self) -> float:
        """Largest distance of a keypoint from its reference, in x or in y, pixels; 0 without keypoints."""
        pairs = zip(self.reference, self.moved, strict=True)
        return max((max(abs(a - c), abs(b - d)) for (a, b), (c, d) in pairs), default=0.0)

    @property
    def size(self) -> int:
        """Characters that it takes in a page, about."""
        return len(self.clean) + len(self.perturbed) + 400 * len(self.reference)


class KeptPictures(NamedTuple):
    """What a run kept.

    Attributes:
        pictures: counterexamples first.
        thumbnails: small versions of the clean images, PNG or JPEG in base64, by position in the data set; not
            necessarily of all.
    """

    pictures: tuple[Picture, ...] = ()
    thumbnails: Mapping[int, str] = {}


def fitting(items: Iterable[Item], size: Callable[[Item], int], room: float) -> tuple[Item, ...]:
    """Return items from the first on, as many as there is room for; those after are not looked at."""
    found: list[Item] = []
    for item in items:
        room -= size(item)
        if room < 0:
            break
        found.append(item)
    return tuple(found)


def save_pictures(path: Path, pictures: Iterable[Picture], thumbnails: Mapping[int, str] | None = None) -> None:
    """Write pictures as JSON, atomically; see `KeptPictures`."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "pictures": [asdict(picture) for picture in pictures],
        "thumbnails": {str(index): encoded for index, encoded in (thumbnails or {}).items()},
    }
    write_json_atomically(path, content)


def read_pictures(path: Path) -> KeptPictures:
    """Read what `save_pictures` wrote.

    Raises:
        InputError: the file is damaged or of another version.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema version {content['schema_version']}")
        thumbnails = {int(index): str(encoded) for index, encoded in content.get("thumbnails", {}).items()}
        for encoded in thumbnails.values():
            media_type(encoded)
        return KeptPictures(tuple(_picture(values) for values in content["pictures"]), thumbnails)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: expected pictures that usn wrote, got a damaged file ({error})") from error


def _picture(values: dict[str, Any]) -> Picture:
    for name in ("clean", "perturbed"):
        media_type(values[name])
    points = {name: tuple((float(x), float(y)) for x, y in values[name]) for name in ("reference", "moved")}
    answers = values["answers"]
    size = {name: int(values[name]) for name in ("width", "height")}
    return Picture(**values | points | size | {"answers": tuple(answers) if answers else None})
