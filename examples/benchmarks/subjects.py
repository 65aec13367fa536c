"""The networks and images that `certify_speed` certifies: trained here, from fixed seeds, and kept in a folder.

The fly's networks are trained for stability, by ``examples/fly/train_baseline.py --jitter 0.2 0.3``. Trained without,
predictions move by 24 px and more at brightness 0.1, with photometric augmentation alone still by 1 to 4 px: queries
would be falsified at once, and nothing timed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from usncli import zoo
from usncli.loading.batching import Joined
from usncli.loading.capture import capture
from usncli.loading.data import open_data
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Preprocessing
from usncli.pruning.fitting import fit
from usncli.pruning.options import OptimiserOptions
from usncli.types import ImageData, Task

EXAMPLES = Path(__file__).parents[1]
JITTER = (0.2, 0.3)
AIRCRAFT = Preprocessing(64, 64, mean=(0.45,), std=(0.25,))
AIRCRAFT_BATCH = 32


@dataclass(frozen=True)
class Source:
    """Where networks and images come from.

    Attributes:
        fly: folder with train.json, val.json, test.json and images/ in COCO keypoint form.
        cache: folder in which trained weights are kept.
        effort: share of the usual steps of training, in (0, 1].
        images: how many images the embedded networks are trained on.
    """

    fly: Path | None
    cache: Path
    effort: float = 1.0
    images: int = 1000


@dataclass(frozen=True)
class Subject:
    """A network with images to certify.

    Attributes:
        name: of both.
        network: as it was built.
        pipeline: the captured network with its preprocessing.
        data: images that it was not trained on; of the fly first the test images, then those for validation.
        tau: pixels of 64 that a prediction may move.
    """

    name: str
    network: nn.Module
    pipeline: Pipeline
    data: ImageData
    tau: float


def fly_cnn7(source: Source) -> Subject:
    """The fly's CNN7 at full width."""
    return _fly("fly cnn7", lambda: zoo.cnn7(outputs=64, channels=1), source)


def fly_resnet18(source: Source) -> Subject:
    """The fly's ResNet18, an eighth as wide as He et al.'s."""
    return _fly("fly resnet18", lambda: zoo.resnet18(outputs=64, channels=1, width=0.125), source)


def aircraft_cnn7(source: Source) -> Subject:
    """The embedded aircraft's CNN7."""
    return _aircraft("aircraft cnn7", zoo.cnn7, Task.KEYPOINTS, source)


def aircraft_heatmaps(source: Source) -> Subject:
    """The embedded aircraft's heatmap network."""
    return _aircraft("aircraft heatmaps", zoo.heatmap_network, Task.HEATMAPS, source)


SUBJECTS: Mapping[str, Callable[[Source], Subject]] = {
    "fly-cnn7": fly_cnn7,
    "fly-resnet18": fly_resnet18,
    "aircraft-cnn7": aircraft_cnn7,
    "aircraft-heatmaps": aircraft_heatmaps,
}
STEPS = {"fly cnn7": 1200, "fly resnet18": 1200, "aircraft cnn7": 400, "aircraft heatmaps": 400}
"""Steps of training."""


def _fly(name: str, make: Callable[[], nn.Module], source: Source) -> Subject:
    assert source.fly is not None
    folder, example = source.fly, _fly_example()

    def train(network: nn.Module, steps: int) -> None:
        images, keypoints = example.read(folder / "train.json")
        example.train(network, images, keypoints, steps, JITTER)

    network = trained(name, make, train, source, STEPS[name])
    held_out = [
        open_data(str(folder / f"{part}.json"), example.PREPROCESSING, Task.KEYPOINTS) for part in ("test", "val")
    ]
    return subject(name, network, Joined(held_out), example.PREPROCESSING, 1.0)


def _aircraft(name: str, make: Callable[[], nn.Module], task: Task, source: Source) -> Subject:
    network = trained(name, make, partial(train_on_aircraft, task=task, images=source.images), source, STEPS[name])
    # The heatmaps' cells are 4 px apart: a peak may move to a neighbour.
    tau = 4.0 if task == Task.HEATMAPS else 2.0
    return subject(name, network, zoo.aircraft(100, 64, seed=1), AIRCRAFT, tau, task)


def train_on_aircraft(network: nn.Module, steps: int, *, task: Task, images: int = 1000) -> None:
    """Train a network on the embedded aircraft."""
    options = OptimiserOptions(steps=steps, learning_rate=3e-3, batch_size=min(AIRCRAFT_BATCH, images))
    fit(Pipeline(network, AIRCRAFT, task), zoo.aircraft(images, 64, seed=0), options)


def trained(
    name: str, make: Callable[[], nn.Module], train: Callable[[nn.Module, int], None], source: Source, steps: int
) -> nn.Module:
    """Return a network with its weights, from the cache if they are there."""
    torch.manual_seed(0)
    network, steps = make(), max(1, round(steps * source.effort))
    path = source.cache / f"{name.replace(' ', '-')}-{steps}-steps-{source.images}-images.pt"
    if path.exists():
        network.load_state_dict(torch.load(path, weights_only=True))
        return network
    print(f"training {name}: {steps} steps", flush=True)
    train(network, steps)
    source.cache.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), path)
    return network


def subject(
    name: str,
    network: nn.Module,
    data: ImageData,
    preprocessing: Preprocessing,
    tau: float,
    task: Task = Task.KEYPOINTS,
) -> Subject:
    captured = capture(network.eval(), torch.zeros(1, *preprocessing.input_shape))
    return Subject(name, network, Pipeline(captured, preprocessing, task).eval(), data, tau)


def _fly_example() -> ModuleType:
    return example_script("fly/train_baseline.py")


def example_script(path: str) -> ModuleType:
    """Import a script of the examples."""
    spec = importlib.util.spec_from_file_location(path.replace("/", "_").removesuffix(".py"), EXAMPLES / path)
    assert spec is not None, path
    assert spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
