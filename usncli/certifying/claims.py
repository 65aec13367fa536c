"""From an image, its label and the options to the property that is certified."""

from __future__ import annotations

import torch
from torch import Tensor

from usncli.certifying.options import CertifyOptions, Reference
from usncli.certifying.properties import (
    ClassificationProperty,
    HeatmapProperty,
    KeypointProperty,
    Property,
    near_cells,
)
from usncli.errors import InputError
from usncli.loading.heatmaps import peaks
from usncli.loading.pipeline import Pipeline
from usncli.types import ImageData, Sample, Task


def make_claim(pipeline: Pipeline, sample: Sample, options: CertifyOptions, *, labelled: bool) -> Property:
    """Return the property that one image's predictions must keep.

    Keypoints that the label marks as not visible do not count; where nothing is labelled, all count.

    Args:
        pipeline: the shipped network.
        sample: the image with its label.
        options: tau and the reference.
        labelled: whether the label means anything.

    Raises:
        InputError: no keypoint of the image counts, or the property cannot fail, or the label has another shape than
            the prediction.
    """
    with torch.no_grad():
        outputs = pipeline(sample.image.unsqueeze(0).to(pipeline.mean))[0].cpu()
    if pipeline.task == Task.CLASSIFICATION:
        reference = int(outputs.argmax()) if options.reference == Reference.PREDICTION else int(sample.target)
        if not 0 <= reference < len(outputs) or len(outputs) < 2:
            raise InputError(f"{sample.name}: expected a class below {len(outputs)} of at least 2, got {reference}")
        return ClassificationProperty(reference)
    visible = _visible(sample, len(outputs), labelled=labelled)
    if pipeline.task == Task.KEYPOINTS:
        points = outputs if options.reference == Reference.PREDICTION else sample.target[:, :2]
        return KeypointProperty(points.double(), visible, options.tau)
    return _heatmap_claim(pipeline, sample, options, outputs, visible)


def check_reference(data: ImageData, options: CertifyOptions) -> None:
    """Make sure that labels exist where they are the reference.

    Raises:
        InputError: they do not.
    """
    if options.reference == Reference.LABEL and not data.labelled:
        raise InputError("reference label: the data has no labels; use the reference prediction, or labelled data")


def _visible(sample: Sample, keypoints: int, *, labelled: bool) -> Tensor:
    if not labelled:
        return torch.ones(keypoints, dtype=torch.bool)
    if tuple(sample.target.shape) != (keypoints, 3):
        raise InputError(
            f"{sample.name}: expected {keypoints} labelled keypoints as the network predicts, got a label of shape "
            f"{tuple(sample.target.shape)}"
        )
    visible = sample.target[:, 2] > 0
    if not bool(visible.any()):
        raise InputError(f"{sample.name}: no keypoint is visible, so there is nothing to certify")
    return visible


def _heatmap_claim(
    pipeline: Pipeline, sample: Sample, options: CertifyOptions, outputs: Tensor, visible: Tensor
) -> Property:
    image_shape = (pipeline.preprocessing.height, pipeline.preprocessing.width)
    map_shape = (int(outputs.shape[1]), int(outputs.shape[2]))
    if options.reference == Reference.PREDICTION:
        points = peaks(outputs.unsqueeze(0), image_shape)[0]
    else:
        points = sample.target[:, :2]
    near = near_cells(points, map_shape, image_shape, options.tau) | ~visible[:, None, None]
    if bool(near.all()):
        raise InputError(f"tau {options.tau:g} px covers every cell of the heatmaps, so nothing could fail; lower tau")
    return HeatmapProperty(near)
