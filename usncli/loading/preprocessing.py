"""Size, colour, normalisation and keypoint units: stated once, and part of what is certified."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from usncli.errors import ConfigurationError


class Colour(StrEnum):
    """Colour space of the network's input."""

    RGB = "rgb"
    GREY = "grey"


class KeypointUnits(StrEnum):
    """Units in which a network's raw outputs give coordinates.

    ``pixel``: pixels of the input. ``unit``: [0, 1] across the input. ``centred``: [-1, 1] across the input.
    """

    PIXEL = "pixel"
    UNIT = "unit"
    CENTRED = "centred"


@dataclass(frozen=True)
class Preprocessing:
    """How an image file becomes a network's input, and a network's output becomes pixels.

    Attributes:
        height, width: size of the network's input in pixels; images are resized to it.
        colour: colour space of the input: 3 channels (rgb) or 1 (grey).
        mean, std: normalisation (image - mean) / std in the [0, 1] scale, one number a channel.
        keypoint_units: units of the raw outputs of a coordinate-regression network.

    Raises:
        ConfigurationError: a size below 1, a std not above 0, or a number of means or stds that is not the number of
            channels.
    """

    height: int
    width: int
    colour: Colour = Colour.RGB
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    keypoint_units: KeypointUnits = KeypointUnits.CENTRED

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ConfigurationError(f"size: expected at least 1x1 pixels, got {self.height}x{self.width}")
        for name, default in (("mean", 0.0), ("std", 1.0)):
            values = getattr(self, name) or (default,)
            values = tuple(float(value) for value in values) * (self.channels if len(values) == 1 else 1)
            if len(values) != self.channels:
                raise ConfigurationError(
                    f"{name}: expected 1 or {self.channels} numbers for {self.colour} images, got {len(values)}"
                )
            object.__setattr__(self, name, values)
        if min(self.std) <= 0:
            raise ConfigurationError(f"std: expected numbers above 0, got {min(self.std)}")

    @property
    def channels(self) -> int:
        """Number of image channels: 3 for rgb, 1 for grey."""
        return 3 if self.colour == Colour.RGB else 1

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """``(channels, height, width)`` of one input image."""
        return (self.channels, self.height, self.width)

    def to_record(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Preprocessing:
        """Rebuild from `to_record`."""
        return cls(
            height=record["height"],
            width=record["width"],
            colour=Colour(record["colour"]),
            mean=tuple(record["mean"]),
            std=tuple(record["std"]),
            keypoint_units=KeypointUnits(record["keypoint_units"]),
        )
