"""What a network predicts, by the shape of its outputs and what images label; and the units of keypoints."""

from __future__ import annotations

import dataclasses

from torch import fx

from usncli.drafting.entries import Entry, State
from usncli.drafting.images import FoundImages
from usncli.drafting.trials import error_if
from usncli.loading.preprocessing import KeypointUnits, Preprocessing
from usncli.types import Task

CLEARLY = 2.0
"""How many times smaller than the next the error of the right units must be."""


def task_entry(outputs: tuple[int, ...], images: FoundImages | None) -> Entry:
    """Return what a network predicts.

    Args:
        outputs: shape of its raw outputs for one image, without the batch; empty where it is not known.
        images: what it is for.
    """
    labelled = images.labelled_task if images else None
    if len(outputs) == 3:
        return Entry("task", str(Task.HEATMAPS), f"its outputs are maps: {_by(outputs)}")
    if len(outputs) == 2 and outputs[1] == 2:
        return Entry("task", str(Task.KEYPOINTS), f"its outputs are pairs: {_by(outputs)}")
    if len(outputs) != 1:
        why = f"outputs of {_by(outputs)} do not tell" if outputs else "the outputs are not known yet"
        return Entry("task", str(labelled or Task.CLASSIFICATION), f"{why}: {', '.join(Task)}", State.MISSING)
    count = outputs[0]
    if images and labelled == Task.KEYPOINTS and count == 2 * len(images.data.label_names):
        return Entry("task", str(Task.KEYPOINTS), f"{count} outputs, and the images label {images.labels}")
    if images and labelled == Task.CLASSIFICATION and count >= len(images.data.label_names):
        return Entry("task", str(Task.CLASSIFICATION), f"{count} outputs, and the images label {images.labels}")
    if count % 2:
        return Entry("task", str(Task.CLASSIFICATION), f"{count} outputs, an odd number, are no x and y of keypoints")
    why = f"{count} outputs are {count} classes, or x and y of {count // 2} keypoints"
    why += f"; the images label {images.labels}" if images and labelled else ""
    return Entry("task", str(labelled or Task.CLASSIFICATION), why, State.MISSING)


def units_entry(network: fx.GraphModule, preprocessing: Preprocessing, images: FoundImages | None) -> Entry:
    """Return the units of a keypoint network's raw outputs: those in which it is least off on labelled images.

    Args:
        network: a captured network that predicts keypoints.
        preprocessing: its size, colour and normalisation.
        images: what it is for.
    """
    errors = _errors(network, preprocessing, images) if images and images.labelled_task == Task.KEYPOINTS else {}
    if not errors:
        default = str(preprocessing.keypoint_units)
        return Entry("keypoint-units", default, f"the default; CHECK, the others are {_others(default)}")
    best, *rest = sorted(errors, key=errors.__getitem__)
    others = ", ".join(f"{errors[units]:.1f} px as {units}" for units in rest)
    why = f"{errors[best]:.1f} px off on labelled images, {others}"
    sure = CLEARLY * errors[best] <= errors[rest[0]]
    return Entry("keypoint-units", str(best), why if sure else f"{why}: CHECK, that is not clear")


def _errors(network: fx.GraphModule, preprocessing: Preprocessing, images: FoundImages) -> dict[KeypointUnits, float]:
    """Return the error in pixels for each choice of units; none where labels and outputs do not fit each other."""
    tried = {
        units: error_if(network, dataclasses.replace(preprocessing, keypoint_units=units), Task.KEYPOINTS, images)
        for units in KeypointUnits
    }
    errors = {units: error for units, error in tried.items() if error is not None}
    return errors if len(errors) == len(tried) else {}


def _others(default: str) -> str:
    return " and ".join(str(units) for units in KeypointUnits if units != default)


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
