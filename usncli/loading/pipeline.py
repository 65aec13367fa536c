"""The network that is scored, trained, certified and shipped: normalisation and output units included."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from usncli.errors import InputError
from usncli.loading.preprocessing import KeypointUnits, Preprocessing
from usncli.types import Task


class Pipeline(nn.Module):
    """Normalise, run the network, and return its prediction in the units of `Task`.

    Args:
        network: any module from a normalised ``(batch, channels, height, width)`` to its raw outputs.
        preprocessing: size, colour, normalisation and keypoint units of the network.
        task: what the network predicts.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, preprocessing: Preprocessing, task: Task) -> None:
        super().__init__()
        self.network = network
        self.preprocessing = preprocessing
        self.task = task
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(preprocessing.std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Predict from images ``(batch, channels, height, width)`` in [0, 1]; see `Task` for the result's shape."""
        return self.decode(self.network((images - self.mean) / self.std))

    def decode(self, outputs: Tensor) -> Tensor:
        """Bring raw network outputs into the form and units of the task.

        Raises:
            InputError: the outputs have another shape than the task asks for.
        """
        if self.task == Task.CLASSIFICATION:
            return self._expect(outputs, 2, "logits of shape (batch, classes)")
        if self.task == Task.HEATMAPS:
            return self._expect(outputs, 4, "heatmaps of shape (batch, keypoints, height, width)")
        if outputs[0].numel() % 2:
            raise InputError(
                f"task keypoints: expected an even number of outputs (x and y a keypoint), got {outputs[0].numel()}; "
                "choose another --task or another checkpoint"
            )
        return self._pixels(outputs.reshape(outputs.shape[0], -1, 2))

    def _expect(self, outputs: Tensor, dimensions: int, what: str) -> Tensor:
        if outputs.dim() != dimensions:
            raise InputError(
                f"task {self.task}: expected {what}, got shape {tuple(outputs.shape)}; choose another --task"
            )
        return outputs

    def _pixels(self, coordinates: Tensor) -> Tensor:
        units = self.preprocessing.keypoint_units
        if units == KeypointUnits.PIXEL:
            return coordinates
        size = coordinates.new_tensor([self.preprocessing.width, self.preprocessing.height])
        if units == KeypointUnits.UNIT:
            return coordinates * size
        return (coordinates + 1) * (size / 2)
