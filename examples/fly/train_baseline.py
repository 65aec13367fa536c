"""Train the "existing checkpoint" of this example: a CNN7 that regresses the 32 keypoints of a fly, in plain PyTorch.

    python examples/fly/train_baseline.py --data DIR --out baseline.pt

DIR holds train.json, val.json and images/ in COCO keypoint form. The images are 192x192 and grey; the network sees them
at 64x64. There are only 70 training images, so they are rotated, scaled and shifted at random. Brightness and contrast
are left as they are, which is what "normal training" means here. Takes about three minutes on two cores.

``--jitter 0.2 0.3`` trains for stability: every image gets a copy whose brightness is changed by up to 0.2 and contrast
by up to 30%, clamped to [0, 1] as torchvision's ColorJitter does, and the two predictions are pulled together. Takes
twice as long.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample, smooth_l1_loss

from usncli.loading.data import collate, open_data
from usncli.loading.preprocessing import Colour, Preprocessing
from usncli.perturbing import BrightnessContrast
from usncli.types import Task
from usncli.zoo import cnn7

SIZE = 64
MEAN, STD = 0.1, 0.2
PULL = 50.0
"""Weight of the mean squared distance between the predictions for an image and for its jittered copy."""
PREPROCESSING = Preprocessing(SIZE, SIZE, Colour.GREY, (MEAN,), (STD,))


def read(path: Path) -> tuple[Tensor, Tensor]:
    """Return images ``(n, 1, 64, 64)`` in [0, 1] and keypoints ``(n, 32, 2)`` in [-1, 1] across the image."""
    data = open_data(str(path), PREPROCESSING, Task.KEYPOINTS)
    batch = collate([data[index] for index in range(len(data))])
    return batch.images, batch.targets[..., :2] * (2 / SIZE) - 1


def augment(images: Tensor, keypoints: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rotate by up to 54 degrees, scale by up to 10% and shift by up to 5% of the image's size."""
    angle, scale, shift_x, shift_y = (torch.rand(4, len(images), generator=generator) * 2 - 1).unbind()
    angle, scale = angle * (0.3 * math.pi), 1 + 0.1 * scale
    shift = torch.stack([shift_x, shift_y], dim=1) * 0.1
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    matrix = torch.stack([torch.stack([cosine, -sine], dim=1), torch.stack([sine, cosine], dim=1)], dim=1)
    grid = affine_grid(torch.cat([matrix, shift.unsqueeze(2)], dim=2), list(images.shape), align_corners=False)
    moved = grid_sample(images, grid, padding_mode="border", align_corners=False)
    return moved, torch.linalg.solve(matrix, (keypoints - shift.unsqueeze(1)).mT).mT


def jittered(images: Tensor, brightness: float, contrast: float, generator: torch.Generator) -> Tensor:
    """Change contrast by up to a share and brightness by up to a number, and clamp to [0, 1]."""
    extent = torch.tensor([brightness, contrast])
    theta = torch.tensor([0.0, 1.0]) + extent * (torch.rand(len(images), 2, generator=generator) * 2 - 1)
    return BrightnessContrast()(images, theta)


def error(network: nn.Module, images: Tensor, keypoints: Tensor) -> float:
    """Return the mean distance in pixels of the 64x64 image."""
    network.eval()
    with torch.no_grad():
        predicted = network((images - MEAN) / STD).view_as(keypoints)
    return ((predicted - keypoints) * (SIZE / 2)).norm(dim=-1).mean().item()


def task_loss(network: nn.Module, images: Tensor, keypoints: Tensor, copies: Tensor | None) -> Tensor:
    """Return the loss of a batch and, where there are jittered copies of it, of those and of the distance to them."""
    if copies is None:
        return smooth_l1_loss(network((images - MEAN) / STD).view_as(keypoints), keypoints, beta=0.05)
    both = network((torch.cat([images, copies]) - MEAN) / STD).view(2, *keypoints.shape)
    apart = (both[0] - both[1]).square().mean()
    return smooth_l1_loss(both, keypoints.expand_as(both), beta=0.05) + PULL * apart


def train(
    network: nn.Module, images: Tensor, keypoints: Tensor, steps: int, jitter: tuple[float, float] = (0.0, 0.0)
) -> None:
    """Fit the network in place, printing the loss now and then; jitter is that of brightness and of contrast."""
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=3e-3, total_steps=steps)
    generator = torch.Generator().manual_seed(0)
    for step in range(steps):
        chosen = torch.randint(len(images), (32,), generator=generator)
        moved, target = augment(images[chosen], keypoints[chosen], generator)
        copies = jittered(moved, *jitter, generator) if any(jitter) else None
        network.train()
        loss = task_loss(network, moved, target, copies)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if (step + 1) % 250 == 0:
            print(f"step {step + 1}/{steps}  loss {loss.item():.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train.json, val.json and images/")
    parser.add_argument("--out", type=Path, default=Path("baseline.pt"), help="where the weights go")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument(
        "--jitter", type=float, nargs=2, default=(0.0, 0.0), metavar=("BRIGHTNESS", "CONTRAST"), help="0 0 is none"
    )
    arguments = parser.parse_args()
    torch.manual_seed(0)
    network = cnn7(outputs=64, channels=1, size=SIZE)
    images, keypoints = read(arguments.data / "train.json")
    train(network, images, keypoints, arguments.steps, tuple(arguments.jitter))
    torch.save({"state_dict": network.state_dict()}, arguments.out)
    for split in ("train", "val", "test"):
        print(f"{split} error {error(network, *read(arguments.data / f'{split}.json')):.2f} px of {SIZE}")


if __name__ == "__main__":
    main()
