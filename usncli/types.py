"""What travels between the stages: tasks, samples, batches and verdict-free records."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, Protocol

from torch import Tensor


class Task(StrEnum):
    """What a network predicts, and in which form `Pipeline` returns it.

    - ``classification``: logits, ``(batch, classes)``.
    - ``keypoints``: coordinates in pixels of the network's input, ``(batch, keypoints, 2)``, x before y.
    - ``heatmaps``: one map a keypoint, ``(batch, keypoints, height, width)``; the peak of a map is the prediction.
    """

    CLASSIFICATION = "classification"
    KEYPOINTS = "keypoints"
    HEATMAPS = "heatmaps"


class Sample(NamedTuple):
    """One labelled image.

    Attributes:
        image: ``(channels, height, width)``, float32 in [0, 1], at the network's input size.
        target: a class index, int64 ``()``; or keypoints, float32 ``(keypoints, 3)``: x and y in pixels of ``image``
            and a visibility that is 0 where the keypoint is not labelled (its coordinates mean nothing then). Data
            without labels (`ImageData.labelled`) give the class -1, or zero keypoints: ``(0, 3)``. Coordinates are
            continuous: 0 is the image's left or top edge, and the centre of pixel j is at j + 0.5.
        name: a name by which a person finds the image again: its path within the data set.
    """

    image: Tensor
    target: Tensor
    name: str


class Batch(NamedTuple):
    """Samples stacked along a first dimension.

    Attributes:
        images: ``(batch, channels, height, width)``, float32 in [0, 1].
        targets: ``(batch,)`` or ``(batch, keypoints, 3)``, see `Sample`.
        names: one a sample.
    """

    images: Tensor
    targets: Tensor
    names: tuple[str, ...]


class ImageData(Protocol):
    """A data set as every stage sees it: indexable samples and the names of what is predicted.

    Attributes:
        task: `Task.CLASSIFICATION` for class labels; `Task.KEYPOINTS` for keypoints (heatmap networks too).
        label_names: class names, or keypoint names, in the order of the outputs; empty where nothing is labelled.
        labelled: whether the samples have targets; False for a plain folder of images, which serves scoring and the
            certification of stability (the reference is the clean prediction).
    """

    task: Task
    label_names: tuple[str, ...]
    labelled: bool

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...
