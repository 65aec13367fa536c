"""Reduces layers as they run; small ones together, because a call costs more than their arithmetic."""

from __future__ import annotations

from torch import Tensor

from usncli.scoring.reduction import LayerShape, ThetaWeights, reduce_activations
from usncli.scoring.workspace import Workspace, chunk_size


class LayerReducer:
    """Takes the activations of one batch, layer by layer, and keeps only what they reduce to.

    Small layers are copied into a pool of `chunk_size` numbers and reduced when it is full.

    Args:
        images: number of images in the batch.
        thetas: weights of the samples.
        workspace: scratch memory, for one reducer at a time.
    """

    def __init__(self, images: int, thetas: ThetaWeights, workspace: Workspace) -> None:
        self._images = images
        self._thetas = thetas
        self._workspace = workspace
        self._names: list[str] = []
        self._reduced: list[Tensor] = []
        self._waiting: list[LayerShape] = []
        self._pool: Tensor | None = None
        self._filled = 0

    def read(self, name: str, activations: Tensor) -> None:
        """Take a layer's activations ``(images * (1 + samples), channels, ...)``, those of an image side by side."""
        grouped = activations.reshape(self._images, -1, activations[0].numel())
        numbers, channels = grouped.shape[2], activations.shape[1]
        shape = LayerShape(channels, numbers // channels)
        self._names.append(name)
        room = chunk_size(grouped.device) // (grouped.shape[0] * grouped.shape[1])
        if self._filled + numbers > room or (self._pool is not None and self._pool.dtype != grouped.dtype):
            self._flush()
        if numbers > room:
            self._reduced += reduce_activations(grouped, [shape], self._thetas, self._workspace)
            return
        if self._pool is None:
            self._pool = self._workspace.take("pool", grouped, *grouped.shape[:2], room)
        self._pool[..., self._filled : self._filled + numbers] = grouped
        self._filled += numbers
        self._waiting.append(shape)

    def results(self) -> list[tuple[str, Tensor]]:
        """Return name and reduced activations of every layer, in the order in which they ran."""
        self._flush()
        return list(zip(self._names, self._reduced, strict=True))

    def _flush(self) -> None:
        if self._pool is not None:
            pooled = self._pool[..., : self._filled]
            self._reduced += reduce_activations(pooled, self._waiting, self._thetas, self._workspace)
        self._pool, self._filled = None, 0
        self._waiting = []
