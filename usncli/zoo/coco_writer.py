"""Write keypoint data as a user would have it: PNG files and one COCO keypoint file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from usncli.errors import InputError
from usncli.files import write_atomically, write_json_atomically
from usncli.types import ImageData, Sample, Task

ANNOTATIONS = "annotations.json"
"""Name of the COCO file; the images lie in the folder ``images`` beside it."""


def write_coco(data: ImageData, folder: Path) -> Path:
    """Write every image as ``images/NAME.png`` and every keypoint into ``annotations.json``.

    The format is COCO's keypoint format (cocodataset.org, "Data format"): x and y in pixels from the top left corner of
    the picture, visibility 0, 1 or 2. The bounding box is that of the labelled keypoints.

    Args:
        data: keypoint data with images in [0, 1]; 1 or 3 channels. Pixels are rounded to multiples of 1/255.
        folder: made if it is missing; files of the same name are replaced.

    Returns:
        The path of the COCO file.

    Raises:
        InputError: the data do not hold keypoints.
    """
    if data.task != Task.KEYPOINTS:
        raise InputError(f"write_coco: expected keypoint data, got data for {data.task}")
    images, annotations = [], []
    for index in range(len(data)):
        sample = data[index]
        file_name = f"images/{sample.name}.png"
        write_atomically(folder / file_name, _picture(sample.image).save)
        height, width = sample.image.shape[1:]
        images.append({"id": index + 1, "file_name": file_name, "height": height, "width": width})
        annotations.append(_annotation(index + 1, sample))
    category = {"id": 1, "name": "object", "supercategory": "object", "keypoints": list(data.label_names)}
    category["skeleton"] = []
    path = folder / ANNOTATIONS
    write_json_atomically(path, {"images": images, "annotations": annotations, "categories": [category]})
    return path


def _picture(image: Tensor) -> Image.Image:
    """Return an image ``(channels, height, width)`` in [0, 1] as grey or RGB bytes."""
    pixels = (image.numpy() * 255.0 + 0.5).astype(np.uint8)
    return Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))


def _annotation(number: int, sample: Sample) -> dict[str, Any]:
    keypoints = sample.target.double()
    labelled = keypoints[keypoints[:, 2] > 0]
    box = [0.0, 0.0, 0.0, 0.0]
    if len(labelled):
        low, high = labelled[:, :2].amin(dim=0), labelled[:, :2].amax(dim=0)
        box = [*low.tolist(), *(high - low).tolist()]
    return {
        "id": number,
        "image_id": number,
        "category_id": 1,
        "iscrowd": 0,
        "keypoints": [
            value for x, y, visibility in keypoints.tolist() for value in (round(x, 3), round(y, 3), int(visibility))
        ],
        "num_keypoints": len(labelled),
        "bbox": [round(value, 3) for value in box],
        "area": round(box[2] * box[3], 3),
    }
