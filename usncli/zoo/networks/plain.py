"""A plain stack: 3x3 convolutions with batch norm and ReLU, then two linear layers."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from usncli.zoo.networks.building import ConvolutionBlock, expect_positive, initialise, scaled, shrink


@dataclass(frozen=True)
class Layout:
    """Sizes of a plain stack at width 1.

    Attributes:
        channels: output channels of each convolution.
        strides: stride of each convolution.
        hidden: units of the first linear layer.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    hidden: int


class PlainNetwork(nn.Module):
    """Convolutions, then a hidden and an output linear layer; the last layer starts small, so outputs start near 0.

    Args:
        layout: sizes at width 1.
        outputs: numbers predicted.
        channels: channels of the image.
        size: height and width of the image in pixels; or ``(height, width)``.
        width: factor on every layer's channels.

    Raises:
        ConfigurationError: a count below 1 or a width not above 0.
    """

    def __init__(self, layout: Layout, outputs: int, channels: int, size: int | tuple[int, int], width: float) -> None:
        super().__init__()
        image_height, image_width = (size, size) if isinstance(size, int) else size
        expect_positive(outputs=outputs, channels=channels, image_height=image_height, image_width=image_width)
        sizes = [channels, *(scaled(count, width) for count in layout.channels)]
        self.blocks = nn.ModuleList(
            ConvolutionBlock(sizes[number], sizes[number + 1], stride) for number, stride in enumerate(layout.strides)
        )
        for stride in layout.strides:
            image_height, image_width = -(-image_height // stride), -(-image_width // stride)
        self.flatten = nn.Flatten()
        self.hidden = nn.Linear(sizes[-1] * image_height * image_width, scaled(layout.hidden, width))
        self.relu = nn.ReLU()
        self.output = nn.Linear(scaled(layout.hidden, width), outputs)
        initialise(self)
        shrink(self.output, 0.1)

    def forward(self, images: Tensor) -> Tensor:
        """Map ``(batch, channels, height, width)`` to ``(batch, outputs)``."""
        features = images
        for block in self.blocks:
            features = block(features)
        result: Tensor = self.output(self.relu(self.hidden(self.flatten(features))))
        return result
