"""Trying a guess on labelled images: how far off the network is if it holds."""

from __future__ import annotations

import dataclasses
import math

from torch import fx

from usncli.drafting.images import FoundImages
from usncli.drafting.inputs import IMAGENET_MEAN, IMAGENET_STD
from usncli.errors import UsnError
from usncli.loading.batching import evenly_spaced, subset
from usncli.loading.data import open_data
from usncli.loading.metrics import error_on_data
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Colour, Preprocessing
from usncli.types import Task

IMAGES_TRIED = 16
"""Labelled images on which guesses are compared."""


def error_if(
    network: fx.GraphModule, preprocessing: Preprocessing, task: Task, images: FoundImages | None
) -> float | None:
    """Return the error on labelled images: pixels, or the share of wrong classes.

    Args:
        network: a captured network.
        preprocessing: the guess.
        task: what it predicts.
        images: what it is for.

    Returns:
        None where the images have no labels for the task, or labels and outputs do not fit each other.
    """
    if images is None or images.labelled_task is None:
        return None
    try:
        data = open_data(images.location, preprocessing, task, images.options)
        part = subset(data, evenly_spaced(len(data), min(IMAGES_TRIED, len(data))))
        error = error_on_data(Pipeline(network, preprocessing, task).eval(), part)
    except UsnError:
        return None
    return error if math.isfinite(error) else None


def normalisation_tried(
    network: fx.GraphModule, preprocessing: Preprocessing, task: Task, images: FoundImages | None
) -> str:
    """Say how ImageNet's normalisation changes the error on labelled images; nothing where that cannot be tried."""
    if preprocessing.colour != Colour.RGB:
        return ""
    normalised = dataclasses.replace(preprocessing, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    errors = [error_if(network, guess, task, images) for guess in (preprocessing, normalised)]
    if None in errors:
        return ""
    without, with_imagenet = (_in_words(error, task) for error in errors if error is not None)
    return f"on labelled images {without} so, {with_imagenet} with ImageNet's"


def _in_words(error: float, task: Task) -> str:
    return f"{error:.0%} wrong" if task == Task.CLASSIFICATION else f"{error:.1f} px off"
