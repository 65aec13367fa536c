"""Write scikit-learn's 1,797 handwritten digits as a folder a class: ``data/test/0/0000.png`` and so on.

    python make_digits.py --out data

The images are 8x8 and grey, with 17 levels. Every fifth goes to ``test``, the rest to ``train``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

LEVELS = 16
"""The digits' white; 0 is black."""
TEST_EVERY = 5


def write(folder: Path) -> dict[str, int]:
    """Write all digits below ``folder``; return the number of images in each split."""
    digits = load_digits()
    counts = {"train": 0, "test": 0}
    for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        split = "test" if number % TEST_EVERY == 0 else "train"
        path = folder / split / str(label) / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image / LEVELS * 255).round().astype(np.uint8)).save(path)
        counts[split] += 1
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("data"), help="where the folders train and test go")
    arguments = parser.parse_args()
    for split, count in write(arguments.out).items():
        print(f"{arguments.out / split}: {count} images")


if __name__ == "__main__":
    main()
