"""Train the "existing checkpoint" of this example: a small classifier of 8x8 digits, in plain PyTorch.

    python train_baseline.py --data data --out baseline.pt

Nothing is done for robustness here. Takes a few seconds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from usncli.zoo import classifier

SIZE = 8
MEAN, STD = 0.3, 0.4
"""Normalisation (image - mean) / std; usn.yaml states the same numbers."""


def read(folder: Path) -> tuple[Tensor, Tensor]:
    """Return normalised images ``(n, 1, 8, 8)`` and their classes ``(n,)`` from a folder a class."""
    paths = sorted(folder.glob("*/*.png"))
    pixels = np.stack([np.asarray(Image.open(path), dtype=np.float32) for path in paths]) / 255
    classes = torch.tensor([int(path.parent.name) for path in paths])
    return (torch.from_numpy(pixels).unsqueeze(1) - MEAN) / STD, classes


def accuracy(network: nn.Module, images: Tensor, classes: Tensor) -> float:
    """Return the share of images whose class is right."""
    network.eval()
    with torch.no_grad():
        return (network(images).argmax(dim=1) == classes).float().mean().item()


def train(network: nn.Module, images: Tensor, classes: Tensor, epochs: int) -> None:
    """Fit the network in place by Adam."""
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        network.train()
        for chosen in torch.randperm(len(images), generator=generator).split(32)[:-1]:
            loss = cross_entropy(network(images[chosen]), classes[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="what make_digits.py wrote")
    parser.add_argument("--out", type=Path, default=Path("baseline.pt"), help="where the weights go")
    parser.add_argument("--epochs", type=int, default=15)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    network = classifier(classes=10, channels=1, size=SIZE)
    train(network, *read(arguments.data / "train"), arguments.epochs)
    for split in ("train", "test"):
        print(f"{split} accuracy {accuracy(network, *read(arguments.data / split)):.3f}")
    torch.save({"state_dict": network.state_dict()}, arguments.out)


if __name__ == "__main__":
    main()
