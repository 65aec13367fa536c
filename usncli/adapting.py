"""Plain torch objects into what the stages take: pipelines with captured networks, image data, perturbation ranges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, fx, nn
from torch.utils.data import Dataset

from usncli.errors import InputError
from usncli.loading.capture import capture
from usncli.loading.datasets.factory import open_dataset
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Colour, Preprocessing
from usncli.perturbing import PerturbationRange, parse_range
from usncli.types import ImageData, Sample, Task

Images: TypeAlias = ImageData | Dataset[Any] | Tensor
"""`ImageData`; a torch data set of ``(image, target)``; or images ``(images, channels, height, width)`` in [0, 1]."""

Perturbations: TypeAlias = str | PerturbationRange | Sequence[str | PerturbationRange]
"""One range or several, as text such as ``"brightness=0.1"`` or parsed."""


class TensorImages:
    """Images in memory without labels; an `ImageData`.

    Args:
        images: ``(images, channels, height, width)`` in [0, 1].
        task: what the network predicts.
    """

    def __init__(self, images: Tensor, task: Task) -> None:
        self.task = Task.CLASSIFICATION if task == Task.CLASSIFICATION else Task.KEYPOINTS
        self.label_names: tuple[str, ...] = ()
        self.labelled = False
        self._images = images.detach().cpu().float()

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Sample:
        index = range(len(self))[index]
        target = torch.tensor(-1) if self.task == Task.CLASSIFICATION else torch.zeros(0, 3)
        return Sample(self._images[index], target, f"images[{index}]")


def as_pipeline(network: nn.Module, images: Images) -> Pipeline:
    """Return a pipeline with a captured network.

    Args:
        network: a `Pipeline`, whose network is captured if it is not; or a bare module, which then takes images as they
            are, without normalisation: its task is that of the images, its input size theirs.
        images: what it will see.

    Raises:
        InputError: a bare module with images that do not tell the task, or that have no fixed size.
        UnsupportedOperationError: the network cannot be captured.
    """
    if not isinstance(network, Pipeline):
        network = Pipeline(network, _preprocessing_of(images), _task_of(images))
    if isinstance(network.network, fx.GraphModule):
        return network
    example = network.mean.new_zeros(2, *network.preprocessing.input_shape)
    device = network.mean.device
    return Pipeline(capture(network.network, example), network.preprocessing, network.task).to(device).eval()


def as_data(images: Images, pipeline: Pipeline) -> ImageData:
    """Return images as a data set for a pipeline.

    Raises:
        InputError: they are not images of its size, or a data set whose items are not ``(image, target)``.
    """
    if isinstance(images, Tensor):
        _check_tensor(images, pipeline.preprocessing)
        return TensorImages(images, pipeline.task)
    if _is_image_data(images):
        return images  # type: ignore[return-value]
    return open_dataset(images, "images", pipeline.preprocessing, pipeline.task)


def as_ranges(perturbations: Perturbations) -> tuple[PerturbationRange, ...]:
    """Return perturbations as ranges.

    Raises:
        ConfigurationError: a text is no range.
    """
    several = [perturbations] if isinstance(perturbations, str | PerturbationRange) else list(perturbations)
    return tuple(parse_range(item) if isinstance(item, str) else item for item in several)


def _is_image_data(images: object) -> bool:
    return all(hasattr(images, name) for name in ("task", "label_names", "labelled"))


def _task_of(images: Images) -> Task:
    if _is_image_data(images):
        return Task(images.task)  # type: ignore[union-attr]
    raise InputError(
        "network: a bare module and images without a task do not tell what is predicted; pass "
        "usncli.Pipeline(network, usncli.Preprocessing(...), usncli.Task(...))"
    )


def _preprocessing_of(images: Images) -> Preprocessing:
    shape = tuple(images.shape[1:]) if isinstance(images, Tensor) else tuple(images[0][0].shape)
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise InputError(f"images: expected shape (1 or 3 channels, height, width), got {shape}")
    return Preprocessing(height=shape[1], width=shape[2], colour=Colour.RGB if shape[0] == 3 else Colour.GREY)


def _check_tensor(images: Tensor, preprocessing: Preprocessing) -> None:
    expected = preprocessing.input_shape
    if images.dim() != 4 or tuple(images.shape[1:]) != expected:
        raise InputError(f"images: expected shape (images, {', '.join(map(str, expected))}), got {tuple(images.shape)}")
    if not images.is_floating_point() or not images.isfinite().all() or images.min() < 0 or images.max() > 1:
        raise InputError("images: expected finite floating point numbers in [0, 1]; scale or clean them")
