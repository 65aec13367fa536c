"""The least and greatest values in front of activation functions over a grid of a perturbation's range."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from usncli.perturbing.ranges import PerturbationRange
from usncli.pruning.criteria.context import ScoringContext
from usncli.scoring.activations import record_activations, split_clean, with_clean

AT_ONCE = 8
"""Images that are run together, with all their perturbed versions."""


class Extremes(NamedTuple):
    """Least and greatest value of every neuron of a layer, ``(images, channels, ...)``, float64."""

    lower: Tensor
    upper: Tensor


def grid_extremes(
    context: ScoringContext, chosen: PerturbationRange, layers: Iterable[str]
) -> Iterator[dict[str, Extremes]]:
    """Go over the images of a scoring and return the extremes of layers under one perturbation, a batch at a time.

    Args:
        context: images, network and how fine the grid is.
        chosen: the range; the identity is looked at too.
        layers: names of the layers that are read.
    """
    layers, thetas = tuple(layers), grid(chosen, context.options.scoring_samples)
    for images in image_batches(context):
        with record_activations(context.pipeline.network, layers) as recorded:
            context.pipeline(with_clean(images, chosen.perturbation.expand(images, thetas)))
        found = {}
        for layer in layers:
            clean, perturbed = split_clean(recorded[layer].double(), len(images))
            found[layer] = Extremes(
                torch.minimum(clean, perturbed.amin(dim=1)), torch.maximum(clean, perturbed.amax(dim=1))
            )
        yield found


def grid(chosen: PerturbationRange, samples: int) -> Tensor:
    """Return thetas ``(samples ** dimension, dimension)`` on an even grid with the range's corners, float64."""
    ends = zip(*chosen.corners(), strict=True)
    axes = [torch.linspace(float(low), float(high), samples, dtype=torch.float64) for low, high in ends]
    return torch.cartesian_prod(*axes).reshape(-1, len(axes))


def image_batches(context: ScoringContext) -> Iterator[Tensor]:
    """Go over the images of a scoring, ``(at most AT_ONCE, channels, height, width)`` at a time."""
    for chosen in torch.split(torch.tensor(context.chosen_images()), AT_ONCE):
        yield context.images.take(chosen).images
