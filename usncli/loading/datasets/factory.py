"""A torch data set that a user's own code returns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from usncli.errors import ConfigurationError, InputError
from usncli.loading.datasets.image_files import Labels, label_task, to_tensor
from usncli.loading.datasets.images import to_array
from usncli.loading.datasets.keypoints import keypoint_faults, scaled_target
from usncli.loading.datasets.offenders import refuse
from usncli.loading.datasets.options import DataOptions
from usncli.loading.datasets.pixel_arrays import CHANNELS, image_fault, to_network_input
from usncli.loading.preprocessing import Preprocessing
from usncli.loading.user_code import import_callable
from usncli.types import Sample, Task

REMEDY = "correct what the callable returns"


class FactoryData:
    """A user's data set with every item brought into the form of `Sample`; an `ImageData`.

    Args:
        dataset: has a length and items ``(image, target)`` or `Sample`.
        preprocessing: size and colour of the network's input.
        labels: what the targets mean.
    """

    def __init__(self, dataset: Any, preprocessing: Preprocessing, labels: Labels) -> None:
        self.task = labels.task
        self.label_names = labels.names
        self.labelled = labels.labelled
        self.notes = labels.notes
        self._dataset = dataset
        self._preprocessing = preprocessing

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Sample:
        index = range(len(self))[index]
        return read_item(self._dataset[index], index, self._preprocessing, self.task)


def open_factory(reference: str, preprocessing: Preprocessing, task: Task, options: DataOptions) -> FactoryData:
    """Call ``package.module:callable`` without arguments and check every item of the data set that it returns.

    An item is ``(image, target)`` or a `Sample`. Image: a Pillow image; a tensor ``(C, H, W)`` or an array
    ``(H, W[, C])``, uint8 or floating point in [0, 1]; it is resized if need be. Target: a class from 0; keypoints
    ``(K, 2)`` or ``(K, 3)`` in pixels of that image; or None for no label. Names come from
    `DataOptions.class_names`, else the attribute ``label_names``, else ``classes`` as torchvision's data sets have it.
    Where items are samples, each has a name of its own.

    Raises:
        ConfigurationError: the callable cannot be imported, or its targets belong to another task.
        InputError: it returns no such data set, or an item that is not as above. What the user's code itself raises
            passes through.
    """
    return open_dataset(import_callable(reference, "--data")(), reference, preprocessing, task, options)


def open_dataset(
    dataset: Any, reference: str, preprocessing: Preprocessing, task: Task, options: DataOptions | None = None
) -> FactoryData:
    """Check every item of a torch data set, see `open_factory`, where ``reference`` is what messages call it.

    Raises:
        ConfigurationError: its targets belong to another task.
        InputError: it is no such data set, or an item is not as `open_factory` says.
    """
    if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
        raise InputError(
            f"{reference}: expected a torch Dataset with a length and items, got a {type(dataset).__name__}"
        )
    if len(dataset) == 0:
        raise InputError(f"{reference}: expected images, found none")
    options = options or DataOptions()
    targets, faults, names_seen = [], [], Counter[str]()
    for index in range(len(dataset)):
        try:
            sample = read_item(dataset[index], index, preprocessing, label_task(task))
            targets.append(sample.target)
            names_seen[sample.name] += 1
        except InputError as error:
            faults.append(str(error))
    refuse(reference, faults, REMEDY)
    faults = [f"the name {name!r} stands {n} times" for name, n in names_seen.items() if n > 1]
    refuse(reference, faults, REMEDY)
    names = options.class_names or getattr(dataset, "label_names", None) or getattr(dataset, "classes", None) or ()
    return FactoryData(dataset, preprocessing, _labels(reference, targets, label_task(task), tuple(map(str, names))))


def read_item(item: Any, index: int, preprocessing: Preprocessing, task: Task) -> Sample:
    """Bring an item of a user's data set into the form of `Sample`.

    Args:
        item: ``(image, target)`` or a `Sample`, see `open_factory`.
        index: its place; a plain item is named by it.
        preprocessing: size and colour of the network's input.
        task: classification or keypoints.

    Raises:
        InputError: the item is not as `open_factory` says; begins with its name.
        ConfigurationError: the target belongs to another task.
    """
    if not isinstance(item, (tuple, list)) or len(item) not in (2, 3):
        raise InputError(f"item {index}: expected (image, target), got {type(item).__name__}")
    image, target = item[0], item[1]
    name = str(item[2]) if len(item) == 3 else f"item {index}"
    try:
        tensor, size = _image(image, preprocessing)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    return Sample(tensor, _target(target, name, size, preprocessing, task), name)


def _image(image: Any, preprocessing: Preprocessing) -> tuple[Tensor, tuple[int, int]]:
    """Return the image at the network's input size, and its own width and height."""
    if isinstance(image, Image.Image):
        return to_tensor(to_array(image, preprocessing)), image.size
    if isinstance(image, Tensor):
        if image.dim() != 3 or image.shape[0] not in CHANNELS:
            raise InputError(f"expected an image tensor of shape (1 to 4, height, width), got {tuple(image.shape)}")
        image = image.detach().cpu().permute(1, 2, 0).numpy()
    if not isinstance(image, np.ndarray):
        raise InputError(f"expected a tensor, an array or a Pillow image, got {type(image).__name__}")
    fault = image_fault(image)
    if fault:
        raise InputError(fault)
    return to_tensor(to_network_input(image, preprocessing)), (image.shape[1], image.shape[0])


def _target(target: Any, name: str, size: tuple[int, int], preprocessing: Preprocessing, task: Task) -> Tensor:
    if target is None:
        return torch.tensor(-1) if task == Task.CLASSIFICATION else torch.zeros(0, 3)
    values = np.asarray(target.detach().cpu() if isinstance(target, Tensor) else target)
    if values.dtype.kind not in "iufb":
        raise InputError(f"{name}: expected a target of numbers, got {type(target).__name__}")
    if values.ndim == 0 and task == Task.KEYPOINTS:
        raise ConfigurationError(f"{name}: its target is a class: pass --task classification, or other data")
    if task == Task.CLASSIFICATION:
        if values.ndim:
            raise ConfigurationError(
                f"{name}: its target has the shape {values.shape}: expected a class, or pass --task keypoints"
            )
        if values.dtype.kind == "f" or values < -1:
            raise InputError(f"{name}: expected an integer class from 0, got {values}")
        return torch.tensor(int(values))
    if values.ndim != 2 or values.shape[1] not in (2, 3):
        raise InputError(f"{name}: expected keypoints of shape (keypoints, 2 or 3), got {values.shape}")
    points = values.astype(np.float64)
    if points.shape[1] == 2:
        points = np.hstack([points, np.full((len(points), 1), 2.0)])
    faults = keypoint_faults(name, points, size, [str(index) for index in range(len(points))])
    if faults:
        raise InputError(faults[0])
    return scaled_target(points, (0.0, 0.0, float(size[0]), float(size[1])), preprocessing)


def _labels(reference: str, targets: Iterable[Tensor], task: Task, names: tuple[str, ...]) -> Labels:
    """Find out what the targets mean, and that they agree with one another.

    Raises:
        InputError: some items have a label and others none, numbers of keypoints differ, or a class has no name.
    """
    if task == Task.CLASSIFICATION:
        classes = {int(target) for target in targets}
        if classes == {-1}:
            return Labels(task, labelled=False)
        names = names or tuple(f"class {index}" for index in range(max(classes) + 1))
        if min(classes) < 0 or max(classes) >= len(names):
            raise InputError(
                f"{reference}: expected classes from 0 to {len(names) - 1} for every item, "
                f"got {min(classes)} to {max(classes)} (-1: no label); {REMEDY}"
            )
        return Labels(task, names)
    counts = {len(target) for target in targets}
    if len(counts) > 1 or (names and counts not in ({0}, {len(names)})):
        expected = f"{len(names)} keypoints" if names else "one number of keypoints"
        raise InputError(
            f"{reference}: expected {expected} for every item, got {sorted(counts)} (0: no label); {REMEDY}"
        )
    count = counts.pop()
    if count == 0:
        return Labels(task, labelled=False)
    return Labels(task, names or tuple(f"keypoint {index}" for index in range(count)))
