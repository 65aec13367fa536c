"""Train a network on the embedded aircraft, as an "existing checkpoint" for usn.

    python examples/aircraft/train_baseline.py --network resnet18 --width 0.125 --out resnet18.pt
    python examples/aircraft/train_baseline.py --network heatmap_network --out heatmaps.pt

Writes the weights, and test images with COCO keypoints into ``aircraft/`` beside them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import nn

from usncli import zoo
from usncli.loading.metrics import error_on_data
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Preprocessing
from usncli.progress import ProgressUpdate
from usncli.pruning.fitting import fit
from usncli.pruning.options import OptimiserOptions
from usncli.types import Task

PREPROCESSING = Preprocessing(64, 64, mean=(0.45,), std=(0.25,))
NETWORKS = {
    "cnn7": (zoo.cnn7, Task.KEYPOINTS),
    "resnet18": (zoo.resnet18, Task.KEYPOINTS),
    "heatmap_network": (zoo.heatmap_network, Task.HEATMAPS),
}


def show(update: ProgressUpdate) -> None:
    if update.stage == "training" and update.done % 100 == 0:
        figures = "  ".join(f"{name} {value:.3g}" for name, value in update.figures.items())
        print(f"step {update.done}/{update.total}  {figures}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=list(NETWORKS), default="resnet18")
    parser.add_argument("--width", type=float, default=0.125)
    parser.add_argument("--epochs", type=float, default=12)
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--out", type=Path, required=True, help="where the weights go")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    make, task = NETWORKS[arguments.network]
    network: nn.Module = make(width=arguments.width)
    pipeline = Pipeline(network, PREPROCESSING, task)
    options = OptimiserOptions(epochs=arguments.epochs, learning_rate=3e-3)
    fit(pipeline, zoo.aircraft(arguments.images, 64, seed=0), options, progress=show)
    torch.save({"state_dict": network.state_dict()}, arguments.out)
    test = zoo.aircraft(100, 64, seed=1)
    zoo.write_coco(test, arguments.out.parent / "aircraft")
    print(f"test error {error_on_data(pipeline, test):.2f} px of 64")


if __name__ == "__main__":
    main()
