"""Images with COCO keypoint annotations."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

from usncli.errors import InputError
from usncli.loading.datasets.coco_file import REMEDY, AnnotatedImage, CocoLabels, read_coco
from usncli.loading.datasets.image_files import ImageFiles, ImageRecord, Labels
from usncli.loading.datasets.images import AS_STORED, ImageFacts, check_image_file
from usncli.loading.datasets.keypoints import crop_box, keypoint_faults, scaled_target
from usncli.loading.datasets.offenders import refuse
from usncli.loading.datasets.options import DataOptions
from usncli.loading.preprocessing import Preprocessing
from usncli.types import Task


class _FoundImage(NamedTuple):
    """An annotated image whose file was found and checked; size is that of the image as the annotations see it."""

    image: AnnotatedImage
    path: Path
    size: tuple[int, int]
    orientation: int


def open_coco(json_file: Path, root: Path, preprocessing: Preprocessing, options: DataOptions) -> ImageFiles:
    """Read images with COCO keypoints, one sample an annotated image, or one an annotation with `crop_margin`.

    Images without labelled keypoints and annotations of crowds are left out; a note says how many images. The EXIF
    orientation of an image is applied unless the JSON's width and height are those of the image without it.

    Args:
        json_file: the annotations.
        root: the folder that the image file names are relative to, or that has a folder ``images`` with them.
        preprocessing: size and colour of the network's input.
        options: cropping and the size of the cache.

    Raises:
        InputError: what `read_coco` refuses; files that are missing, no whole images, or of another size than the JSON
            says; several annotations an image without cropping; keypoints outside their image.
    """
    labels = read_coco(json_file)
    if options.crop_margin is None:
        crowded = [
            f"{image.entry.file_name} has {len(image.keypoints)} annotations"
            for image in labels.images
            if len(image.keypoints) > 1
        ]
        refuse(json_file, crowded, "expected one an image; set a crop margin to make each a sample of its own")
    found = _find_images(json_file, root, labels)
    faults = [
        fault
        for item in found
        for keypoints in item.image.keypoints
        for fault in keypoint_faults(item.image.entry.file_name, keypoints, item.size, labels.keypoint_names)
    ]
    if options.crop_margin is not None:
        faults += [fault for item in found for fault in _box_faults(item.image)]
    refuse(json_file, faults, REMEDY)
    records = [record for item in found for record in _records(item, preprocessing, options.crop_margin)]
    left_out = labels.images_without_labels
    notes = (f"{json_file}: left out {left_out} images without labelled keypoints",) if left_out else ()
    meaning = Labels(Task.KEYPOINTS, labels.keypoint_names, notes=notes)
    return ImageFiles(records, preprocessing, meaning, options.cache_bytes)


def _find_images(json_file: Path, root: Path, labels: CocoLabels) -> list[_FoundImage]:
    found, offenders = [], []
    for image in labels.images:
        name = image.entry.file_name
        path = next((path for path in (root / name, root / "images" / name) if path.is_file()), root / name)
        try:
            facts = check_image_file(path)
            found.append(_FoundImage(image, path, *_as_annotated(image, facts)))
        except InputError as error:
            offenders.append(f"{name}: {error}")
    refuse(json_file, offenders, f"image names are relative to {root}; correct or remove each, then run again")
    return found


def _as_annotated(image: AnnotatedImage, facts: ImageFacts) -> tuple[tuple[int, int], int]:
    """Return the size of the image as the annotations see it, and the orientation that leads to it."""
    stated = (image.entry.width or facts.upright[0], image.entry.height or facts.upright[1])
    if stated == facts.upright:
        return stated, facts.orientation
    if stated == facts.stored:
        return stated, AS_STORED
    raise InputError(
        f"the JSON says {stated[0]}x{stated[1]} pixels, the file has {facts.upright[0]}x{facts.upright[1]}"
    )


def _box_faults(image: AnnotatedImage) -> list[str]:
    return [
        f"{image.entry.file_name}: bbox {list(box)} has no size"
        for box in image.boxes
        if box is not None and not (all(map(math.isfinite, box)) and min(box[2:]) >= 0)
    ]


def _records(item: _FoundImage, preprocessing: Preprocessing, margin: float | None) -> list[ImageRecord]:
    name = item.image.entry.file_name
    several = len(item.image.keypoints) > 1
    records = []
    for index, (keypoints, bbox) in enumerate(zip(item.image.keypoints, item.image.boxes, strict=True)):
        box = (0.0, 0.0, float(item.size[0]), float(item.size[1]))
        if margin is not None:
            aspect = preprocessing.width / preprocessing.height
            box = crop_box(keypoints, bbox, margin, item.size, aspect)
        records.append(
            ImageRecord(
                item.path,
                f"{name}#{index}" if several else name,
                scaled_target(keypoints, box, preprocessing),
                box if margin is not None else None,
                item.orientation,
                item.size,
            )
        )
    return records
