"""What tells one training run from another: its settings, its first weights and its data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from usncli.loading.pipeline import Pipeline
from usncli.types import ImageData

SAMPLED_IMAGES = 16
"""How many images of a data set are looked at, evenly spread: enough to notice other data, cheap on large ones."""


def fingerprint_of(pipeline: Pipeline, data: Sequence[ImageData], settings: Mapping[str, Any]) -> str:
    """Return a hexadecimal SHA-256 of a run.

    Args:
        pipeline: before any training.
        data: the data sets that the run reads.
        settings: plain JSON values: all that decides the result.
    """
    digest = hashlib.sha256(json.dumps([settings, pipeline.preprocessing.to_record(), pipeline.task]).encode())
    for name, tensor in sorted(pipeline.network.state_dict().items()):
        _add_tensor(digest, name, tensor)
    for images in data:
        digest.update(json.dumps([len(images), list(images.label_names)]).encode())
        for index in range(0, len(images), max(1, len(images) // SAMPLED_IMAGES)):
            sample = images[index]
            _add_tensor(digest, sample.name, sample.image)
            _add_tensor(digest, "target", sample.target)
    return digest.hexdigest()


def _add_tensor(digest: hashlib._Hash, name: str, tensor: Tensor) -> None:
    digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
    digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
