"""An encoder-decoder that predicts one heatmap a keypoint."""

from __future__ import annotations

from torch import Tensor, nn

from usncli.errors import ConfigurationError, InputError
from usncli.zoo.networks.building import ConvolutionBlock, expect_positive, initialise, scaled

CHANNELS = (16, 32, 32, 64)
"""Output channels of the encoder's stages at width 1; stage s works at 1/2^s of the image's resolution."""
STRIDES = (2, 4, 8)
"""Resolutions that the heatmaps may have: 1/2, 1/4 or 1/8 of the image's."""


class UpsamplingBlock(nn.Module):
    """Transposed convolution that doubles the resolution, batch norm, sum with a skip connection, ReLU.

    Args:
        inputs: input channels.
        outputs: output channels, those of the skip connection.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.ConvTranspose2d(inputs, outputs, kernel_size=2, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        """Map ``(batch, inputs, height, width)`` to the skip connection's ``(batch, outputs, 2 height, 2 width)``."""
        result: Tensor = self.relu(self.norm(self.convolution(features)) + skip)
        return result


class HeatmapNetwork(nn.Module):
    """Four stride-2 stages down to 1/16, then transposed convolutions with skip additions up to ``1/stride``.

    Args:
        keypoints: heatmaps predicted.
        channels: channels of the image.
        width: factor on every layer's channels.
        stride: pixels of the image a pixel of a heatmap: 2, 4 or 8.

    Raises:
        ConfigurationError: a count below 1, a width not above 0, or another stride.
    """

    def __init__(self, keypoints: int, channels: int, width: float, stride: int) -> None:
        super().__init__()
        expect_positive(keypoints=keypoints, channels=channels)
        if stride not in STRIDES:
            raise ConfigurationError(f"stride: expected one of {', '.join(map(str, STRIDES))}, got {stride}")
        sizes = [scaled(count, width) for count in CHANNELS]
        self.encoder = nn.ModuleList(
            ConvolutionBlock(inputs, outputs, stride=2)
            for inputs, outputs in zip([channels, *sizes[:-1]], sizes, strict=True)
        )
        ups = len(STRIDES) - STRIDES.index(stride)
        self.decoder = nn.ModuleList(UpsamplingBlock(sizes[3 - up], sizes[2 - up]) for up in range(ups))
        self.refine = ConvolutionBlock(sizes[3 - ups], scaled(CHANNELS[1], width))
        self.heatmaps = nn.Conv2d(scaled(CHANNELS[1], width), keypoints, kernel_size=1)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map ``(batch, channels, height, width)`` to ``(batch, keypoints, height / stride, width / stride)``.

        Raises:
            InputError: height or width is not a multiple of 16.
        """
        if images.shape[2] % 16 or images.shape[3] % 16:
            raise InputError(
                f"heatmap network: expected a height and width that 16 divides, got {images.shape[2]}x"
                f"{images.shape[3]}; choose another size"
            )
        stages = [images]
        for stage in self.encoder:
            stages.append(stage(stages[-1]))
        features = stages.pop()
        for stage in self.decoder:
            features = stage(features, stages.pop())
        result: Tensor = self.heatmaps(self.refine(features))
        return result


def heatmap_network(keypoints: int = 8, channels: int = 3, width: float = 1.0, stride: int = 4) -> HeatmapNetwork:
    """Build a `HeatmapNetwork`; pixel (x, y) of a heatmap stands for the image's pixels around stride * (x, y)."""
    return HeatmapNetwork(keypoints, channels, width, stride)
