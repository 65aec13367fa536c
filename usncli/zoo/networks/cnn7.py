"""CNN7: five convolutions and two linear layers that regress coordinates."""

from __future__ import annotations

from usncli.zoo.networks.plain import Layout, PlainNetwork

LAYOUT = Layout(channels=(16, 16, 32, 32, 32), strides=(1, 2, 1, 2, 2), hidden=128)
"""At width 1 and 64x64: 125,056 ReLUs, 290,000 parameters."""


class CNN7(PlainNetwork):
    """The `PlainNetwork` of `LAYOUT`."""


def cnn7(outputs: int = 16, channels: int = 3, size: int | tuple[int, int] = 64, width: float = 1.0) -> CNN7:
    """Build a `CNN7` that regresses coordinates.

    Args:
        outputs: numbers predicted: x, y a keypoint, meant in [-1, 1] across the image ("centred").
        channels: channels of the image.
        size: height and width of the image in pixels; or ``(height, width)``.
        width: factor on every layer's channels.

    Raises:
        ConfigurationError: a count below 1 or a width not above 0.
    """
    return CNN7(LAYOUT, outputs, channels, size, width)
