"""Memory that is used again, and how much of it is best used at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor

CPU_CHUNK = 2**20
"""Most numbers that are reduced at once on a CPU, if one image allows it: 4 MiB of float32, which stay in a cache."""
GPU_CHUNK = 2**26
"""The same on a GPU, where few large pieces are best: 256 MiB of float32."""


def chunk_size(device: torch.device) -> int:
    """Return how many numbers are best reduced at once on a device."""
    return CPU_CHUNK if device.type == "cpu" else GPU_CHUNK


class Workspace:
    """Scratch memory that is used again: fresh memory for every layer would cost more than the arithmetic."""

    def __init__(self) -> None:
        self._memory: dict[str, Tensor] = {}

    def take(self, name: str, like: Tensor, *shape: int) -> Tensor:
        """Return memory of a shape, with the dtype and device of ``like``; what was last taken by that name is lost."""
        memory, numbers = self._memory.get(name), math.prod(shape)
        if memory is None or memory.numel() < numbers or memory.dtype != like.dtype or memory.device != like.device:
            memory = self._memory[name] = like.new_empty(numbers)
        return memory[:numbers].view(shape)
