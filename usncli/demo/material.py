"""What the demo starts from: a folder of labelled images, an "existing checkpoint", and a usn.yaml that names them."""

from __future__ import annotations

from pathlib import Path

import torch

from usncli.devices import choose_device
from usncli.files import write_atomically, write_text_atomically
from usncli.loading.data import open_data
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Preprocessing
from usncli.progress import ProgressCallback
from usncli.pruning.fitting import fit
from usncli.pruning.options import OptimiserOptions
from usncli.types import Task
from usncli.zoo import aircraft, cnn7, write_coco
from usncli.zoo.coco_writer import ANNOTATIONS

SIZE = 64
TRAINING_IMAGES, TEST_IMAGES = 1500, 100
WIDTH = 0.5
PREPROCESSING = Preprocessing(SIZE, SIZE, mean=(0.45,), std=(0.25,))
TRAINING = OptimiserOptions(epochs=16, batch_size=32, learning_rate=3e-3)
CHECKPOINT = "baseline.pt"


def make_material(folder: Path, seed: int, device: str, progress: ProgressCallback) -> None:
    """Write ``aircraft/``, ``baseline.pt`` and ``usn.yaml`` into a folder; what is there already stays.

    The baseline is trained for its task alone, and written as any PyTorch code would: weights under ``state_dict``.

    Args:
        folder: of the demo.
        seed: of images and training.
        device: name of the device to train on.
        progress: told of every step.
    """
    for name, count, offset in (("train", TRAINING_IMAGES, 0), ("test", TEST_IMAGES, 1)):
        if not (folder / "aircraft" / name / ANNOTATIONS).exists():
            write_coco(aircraft(count, SIZE, 2 * seed + offset), folder / "aircraft" / name)
    write_text_atomically(folder / "usn.yaml", configuration(seed, device))
    if not (folder / CHECKPOINT).exists():
        _train_baseline(folder, seed, device, progress)


def configuration(seed: int, device: str) -> str:
    """Return the text of the demo's usn.yaml."""
    return f"""\
# Written by usn demo: what all its commands share. A flag goes before what stands here.
arch: usncli.zoo:cnn7
arch-arg: {{width: {WIDTH}}}
task: keypoints
size: {SIZE}
mean: {PREPROCESSING.mean[0]}
std: {PREPROCESSING.std[0]}
perturb: [brightness=0.05, contrast=0.1]
seed: {seed}
device: {device}

score: {{data: aircraft/train, limit: 128}}
finetune-prune: {{data: aircraft/train, validation: aircraft/test, epochs: 5}}
certify: {{data: aircraft/test, limit: 6, tau: 2, seconds: 60, unstable-images: 2}}
export: {{data: aircraft/test, limit: 16}}
check: {{data: aircraft/test, limit: 6, tau: 2}}
"""


def _train_baseline(folder: Path, seed: int, device: str, progress: ProgressCallback) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = cnn7(size=SIZE, width=WIDTH)
    pipeline = Pipeline(network, PREPROCESSING, Task.KEYPOINTS).to(choose_device(device))
    data = open_data(str(folder / "aircraft" / "train"), PREPROCESSING, Task.KEYPOINTS)
    fit(pipeline, data, TRAINING, seed=seed, folder=folder, progress=progress)
    state = {name: tensor.cpu() for name, tensor in network.state_dict().items()}
    write_atomically(folder / CHECKPOINT, lambda path: torch.save({"state_dict": state}, path))
