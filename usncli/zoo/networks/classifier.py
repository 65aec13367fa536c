"""A small convolutional classifier."""

from __future__ import annotations

from usncli.zoo.networks.plain import Layout, PlainNetwork

LAYOUT = Layout(channels=(16, 32, 32), strides=(1, 2, 2), hidden=64)
"""At width 1 and 8x8: 1,728 ReLUs, 23,000 parameters."""


class Classifier(PlainNetwork):
    """The `PlainNetwork` of `LAYOUT`."""


def classifier(
    classes: int = 10, channels: int = 3, size: int | tuple[int, int] = 32, width: float = 1.0
) -> Classifier:
    """Build a `Classifier`, from ``(batch, channels, height, width)`` to logits ``(batch, classes)``.

    Args:
        classes: number of classes.
        channels: channels of the image; 1 for grey.
        size: height and width of the image in pixels; or ``(height, width)``; 8 for scikit-learn's digits.
        width: factor on every layer's channels.

    Raises:
        ConfigurationError: a count below 1 or a width not above 0.
    """
    return Classifier(LAYOUT, classes, channels, size, width)
