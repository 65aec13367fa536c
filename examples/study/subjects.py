"""The networks and images of the study: base networks are trained here, from fixed seeds, and kept in a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from usncli import zoo
from usncli.loading.batching import Joined, subset
from usncli.loading.capture import capture
from usncli.loading.data import open_data
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Colour, Preprocessing
from usncli.pruning.fitting import fit
from usncli.pruning.options import AugmentOptions, OptimiserOptions
from usncli.types import ImageData, Task

SIZE = 64


@dataclass(frozen=True)
class Subject:
    """A network, its data, and what is certified of it.

    Attributes:
        name: of both.
        folder: name of the folder of its data under ``--data``; None is embedded.
        make: builds the network.
        preprocessing: of its images.
        augment: how training images are moved.
        base_steps: of training the base network.
        ranges: two strengths of brightness, then two of contrast; the stronger ones are trained for.
        tau: pixels that a certified keypoint may move.
        easy_tau: pixels at which the dense network is mostly certified too, so that costs compare.
        images: how many held-out images are certified; the error is measured on all.
        seconds: budget of a query.
        easy_ranges: what is certified at ``easy_tau``; none stands for the stronger ranges.
    """

    name: str
    folder: str | None
    make: Callable[[], nn.Module]
    preprocessing: Preprocessing
    augment: AugmentOptions
    base_steps: int
    ranges: tuple[str, str, str, str]
    tau: float
    easy_tau: float
    images: int
    seconds: float
    easy_ranges: tuple[str, ...] = ()

    @property
    def trained_ranges(self) -> tuple[str, str]:
        """The stronger brightness and the stronger contrast."""
        return self.ranges[1], self.ranges[3]

    def data(self, root: Path | None) -> tuple[ImageData, ImageData]:
        """Return the images to train on, and the held-out ones.

        Args:
            root: the folder that holds the data sets' folders.
        """
        if self.folder is None:
            return zoo.aircraft(1000, SIZE, seed=0), zoo.aircraft(100, SIZE, seed=1)
        assert root is not None
        train, val, test = (
            open_data(str(root / self.folder / f"{split}.json"), self.preprocessing, Task.KEYPOINTS)
            for split in ("train", "val", "test")
        )
        return train, Joined((val, test))

    def base(self, train: ImageData, cache: Path) -> Pipeline:
        """Return the base network, trained for its task alone, from the cache if it is there."""
        torch.manual_seed(0)
        network, path = self.make(), cache / f"{self.name}-base.pt"
        if path.exists():
            network.load_state_dict(torch.load(path, weights_only=True))
        else:
            fit_alone(Pipeline(network, self.preprocessing, Task.KEYPOINTS), train, self, self.base_steps, 0)
            cache.mkdir(parents=True, exist_ok=True)
            torch.save(network.state_dict(), path)
        captured = capture(network.eval(), torch.zeros(1, *self.preprocessing.input_shape))
        return Pipeline(captured, self.preprocessing, Task.KEYPOINTS).eval()


def fit_alone(pipeline: Pipeline, train: ImageData, subject: Subject, steps: int, seed: int) -> None:
    """Train a network in place for its task alone, from scratch."""
    fit(pipeline, train, OptimiserOptions(steps=steps, learning_rate=3e-3), augment=subject.augment, seed=seed)


def first(data: ImageData, count: int) -> ImageData:
    """Return the first so many images, or all."""
    return subset(data, range(min(count, len(data))))


GREY = partial(Preprocessing, SIZE, SIZE, Colour.GREY)
AIRCRAFT = Preprocessing(SIZE, SIZE, mean=(0.45,), std=(0.25,))
TURNED = AugmentOptions(rotation=54, scale=0.1, shift=0.05)
STILL = AugmentOptions()
FLY = ("brightness=0.02", "brightness=0.05", "contrast=0.1", "contrast=0.2")
OTHERS = ("brightness=0.05", "brightness=0.1", "contrast=0.1", "contrast=0.2")

SUBJECTS: Mapping[str, Subject] = {
    subject.name: subject
    for subject in (
        Subject(
            "aircraft-cnn7",
            None,
            partial(zoo.cnn7, width=0.5),
            AIRCRAFT,
            STILL,
            1000,
            OTHERS,
            tau=2,
            easy_tau=4,
            images=30,
            seconds=10,
        ),
        Subject(
            "fly-cnn7",
            "fly",
            partial(zoo.cnn7, outputs=64, channels=1, width=0.5),
            GREY((0.1,), (0.2,)),
            TURNED,
            1500,
            FLY,
            tau=1,
            easy_tau=8,
            images=30,
            seconds=10,
        ),
        Subject(
            "mouse-cnn7",
            "mouse",
            partial(zoo.cnn7, outputs=8, channels=1, width=0.5),
            GREY((0.68,), (0.19,)),
            TURNED,
            1500,
            OTHERS,
            tau=1,
            easy_tau=8,
            images=36,
            seconds=10,
        ),
        Subject(
            "aircraft-resnet18",
            None,
            partial(zoo.resnet18, width=0.125),
            AIRCRAFT,
            STILL,
            1000,
            ("brightness=0.01", "brightness=0.02", "contrast=0.05", "contrast=0.1"),
            tau=0.5,
            easy_tau=2,
            images=6,
            seconds=20,
        ),
        Subject(
            "fly-resnet18",
            "fly",
            partial(zoo.resnet18, outputs=64, channels=1, width=0.125),
            GREY((0.1,), (0.2,)),
            TURNED,
            1500,
            ("brightness=0.01", "brightness=0.02", "contrast=0.1", "contrast=0.2"),
            tau=1,
            easy_tau=8,
            images=6,
            seconds=20,
            easy_ranges=("brightness=0.01", "contrast=0.05"),
        ),
    )
}
