"""At which sizes a network runs, where its file does not say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from usncli.drafting.entries import Entry, State, yaml_value
from usncli.drafting.images import FoundImages
from usncli.settings.parsing import ImageSize

SIDES = (8, 16, 28, 32, 48, 64, 96, 112, 128, 160, 192, 224, 256, 299, 320, 384, 448, 512)
"""Sides of square images that networks are commonly made for, in pixels."""

EXAMPLE = ImageSize(224, 224)


class Sizes(NamedTuple):
    """Sizes at which a network runs.

    Attributes:
        tried: sizes at which it was run; empty where the file says that any size goes.
        running: those of them at which it runs.
    """

    tried: tuple[ImageSize, ...] = ()
    running: tuple[ImageSize, ...] = ()

    def runs_at(self, size: ImageSize) -> bool:
        """Say whether the network runs at a size, as far as that was tried."""
        return not self.tried or size in self.running

    @property
    def one_to_look_at(self) -> ImageSize | None:
        """A size at which outputs can be looked at: the smallest of 64 pixels or more, if there is one."""
        if not self.tried:
            return EXAMPLE
        return min(self.running, key=lambda size: (size.width < 64, size.width), default=None)


def try_sizes(module: nn.Module, channels: int, images: FoundImages | None) -> Sizes:
    """Run a network on one grey image of each common size, and of the size of the images.

    Args:
        module: the user's network, put into evaluation mode; what it raises tells that a size does not go.
        channels: of the image.
        images: what it is for.
    """
    common = images.common_size if images else None
    sizes = dict.fromkeys([*(ImageSize(side, side) for side in SIDES), *([common] if common else [])])
    module.eval()
    return Sizes(tuple(sizes), tuple(size for size in sizes if _runs(module, channels, size)))


def size_entry(sizes: Sizes, images: FoundImages | None) -> Entry:
    """Return the size that a network takes: the only one at which it runs, or else the one that all images have."""
    common = images.common_size if images else None
    if len(sizes.running) == 1:
        tried = f"{len(sizes.tried)} sizes from {min(sizes.tried).width} to {max(sizes.tried).width} pixels"
        return Entry("size", yaml_value(sizes.running[0]), f"the only one of {tried} at which the network runs")
    if common and sizes.runs_at(common):
        why = "all images have it, and the network runs at it; CHECK that it was trained at it"
        return Entry("size", yaml_value(common), why)
    return Entry(
        "size", yaml_value(EXAMPLE), f"the size that the network was trained at: {_hint(sizes)}", State.MISSING
    )


def channels_of_module(module: nn.Module) -> int | None:
    """Return the channels that a module's first convolution takes, if they are those of grey or colour images."""
    first = next((layer for layer in module.modules() if isinstance(layer, nn.Conv2d)), None)
    return first.in_channels if first is not None and first.in_channels in (1, 3) else None


def channels_of_weights(tensors: Mapping[str, Tensor]) -> int | None:
    """Return the same for weights in the order of their layers; a first convolution by groups is not told apart."""
    first = next((tensor for tensor in tensors.values() if tensor.dim() == 4), None)
    return int(first.shape[1]) if first is not None and first.shape[1] in (1, 3) else None


def _runs(module: nn.Module, channels: int, size: ImageSize) -> bool:
    try:
        with torch.no_grad():
            module(torch.full((1, channels, size.height, size.width), 0.5))
    except Exception:  # the user's own code may raise anything
        return False
    return True


def _hint(sizes: Sizes) -> str:
    if not sizes.tried:
        return "the file takes any"
    if not sizes.running:
        return f"it runs at none of {_listed(sizes.tried)}"
    if len(sizes.running) == len(sizes.tried):
        return f"it runs at any of {_listed(sizes.tried)}"
    return f"it runs at {_listed(sizes.running)}"


def _listed(sizes: Sequence[ImageSize]) -> str:
    return ", ".join(str(yaml_value(size)) for size in sizes)
