"""The COCO keypoint format as text: what a JSON file says, checked without looking at an image.

Format: https://cocodataset.org/#format-data, "Keypoint Detection".
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from usncli.errors import InputError
from usncli.loading.datasets.offenders import refuse

VISIBILITIES = (0, 1, 2)
"""Not labelled; labelled but hidden; labelled and visible."""

REMEDY = "correct the JSON, then run again"

Identifier = int | str


class CocoImage(BaseModel):
    """An entry of ``images``; width and height, where given, are those that the coordinates refer to."""

    id: Identifier
    file_name: str
    width: int | None = None
    height: int | None = None


class CocoAnnotation(BaseModel):
    """An entry of ``annotations``: x, y, visibility a keypoint; ``bbox`` is left, top, width, height."""

    image_id: Identifier
    category_id: Identifier | None = None
    keypoints: list[float] | None = None
    bbox: tuple[float, float, float, float] | None = None
    iscrowd: int = 0


class CocoCategory(BaseModel):
    """An entry of ``categories``; ``keypoints`` are names."""

    id: Identifier
    name: str = ""
    keypoints: list[str] = []


class CocoDocument(BaseModel):
    """The whole file; what we do not read is passed over."""

    images: list[CocoImage]
    annotations: list[CocoAnnotation]
    categories: list[CocoCategory] = []


class AnnotatedImage(NamedTuple):
    """An image with its usable annotations: those with at least one labelled keypoint that are no crowd.

    Attributes:
        entry: its entry in the file.
        keypoints: ``(keypoints, 3)`` an annotation, in pixels of the image.
        boxes: left, top, width, height an annotation, where it is given.
    """

    entry: CocoImage
    keypoints: tuple[NDArray[np.float64], ...]
    boxes: tuple[tuple[float, float, float, float] | None, ...]


class CocoLabels(NamedTuple):
    """What a file labels.

    Attributes:
        images: those with usable annotations, in the order of the file.
        keypoint_names: one a keypoint.
        images_without_labels: how many were left out.
    """

    images: tuple[AnnotatedImage, ...]
    keypoint_names: tuple[str, ...]
    images_without_labels: int


def read_coco(path: Path) -> CocoLabels:
    """Read and check a COCO keypoint file.

    Raises:
        InputError: malformed JSON, missing fields, no images, an image listed twice, an annotation of an unknown image,
            no labelled keypoint at all, several skeletons, a number of keypoints that is not the category's, or a
            visibility other than 0, 1, 2.
    """
    document = _parse(path)
    if not document.images:
        raise InputError(f"{path}: expected images, but its list of images is empty")
    _check_images(path, document)
    usable = [
        annotation
        for annotation in document.annotations
        if annotation.keypoints and any(annotation.keypoints[2::3]) and not annotation.iscrowd
    ]
    if not usable:
        raise InputError(
            f"{path}: expected annotations with labelled keypoints, got none; "
            "pass the folder of the images to go without labels"
        )
    names = _keypoint_names(path, document, usable)
    _check_keypoints(path, document, usable, len(names))
    by_image: dict[Identifier, list[CocoAnnotation]] = defaultdict(list)
    for annotation in usable:
        by_image[annotation.image_id].append(annotation)
    images = tuple(
        AnnotatedImage(
            entry,
            tuple(np.array(annotation.keypoints).reshape(-1, 3) for annotation in by_image[entry.id]),
            tuple(annotation.bbox for annotation in by_image[entry.id]),
        )
        for entry in document.images
        if entry.id in by_image
    )
    return CocoLabels(images, names, len(document.images) - len(images))


def _parse(path: Path) -> CocoDocument:
    try:
        return CocoDocument.model_validate_json(path.read_bytes())
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        if faults[0]["type"] == "json_invalid":
            raise InputError(f"{path}: expected JSON: {' '.join(faults[0]['msg'].split())}") from error
        offenders = [f"{_place(fault['loc'])}: {fault['msg']}" for fault in faults]
        refuse(path, offenders, "expected COCO keypoint JSON: images, annotations, categories")
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def _place(location: tuple[int | str, ...]) -> str:
    """Write a place in the JSON as ``annotations[3].keypoints[5]``."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return "".join(steps).removeprefix(".") or "the whole"


def _check_images(path: Path, document: CocoDocument) -> None:
    identifiers = Counter(image.id for image in document.images)
    files = Counter(image.file_name for image in document.images)
    offenders = [f"image id {identifier!r} stands {n} times" for identifier, n in identifiers.items() if n > 1]
    offenders += [f"{name} stands {n} times under other ids" for name, n in files.items() if n > 1]
    unknown = dict.fromkeys(a.image_id for a in document.annotations if a.image_id not in identifiers)
    offenders += [f"an annotation names image id {identifier!r}, which is not listed" for identifier in unknown]
    refuse(path, list(dict.fromkeys(offenders)), REMEDY)


def _keypoint_names(path: Path, document: CocoDocument, usable: list[CocoAnnotation]) -> tuple[str, ...]:
    """Return the names of the one skeleton that the usable annotations have."""
    skeletons = {category.id: tuple(category.keypoints) for category in document.categories}
    used = {skeletons.get(annotation.category_id, ()) for annotation in usable if annotation.category_id is not None}
    used.discard(())
    if len(used) > 1:
        lengths = ", ".join(str(len(names)) for names in sorted(used))
        raise InputError(
            f"{path}: expected one list of keypoints for all annotated categories, got lists of {lengths}; "
            "keep the annotations of one category"
        )
    if used:
        return used.pop()
    count = len(usable[0].keypoints or ()) // 3
    return tuple(f"keypoint {index}" for index in range(count))


def _check_keypoints(path: Path, document: CocoDocument, usable: list[CocoAnnotation], count: int) -> None:
    files = {image.id: image.file_name for image in document.images}
    offenders = []
    for annotation in usable:
        values = annotation.keypoints or []
        name = files[annotation.image_id]
        if len(values) != 3 * count:
            offenders.append(f"{name}: expected 3 x {count} keypoint numbers, got {len(values)}")
        elif any(visibility not in VISIBILITIES for visibility in values[2::3]):
            offenders.append(f"{name}: expected visibilities 0, 1 or 2, got {sorted(set(values[2::3]))}")
    refuse(path, offenders, REMEDY)
