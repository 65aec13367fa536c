"""Importance that asks the bounds themselves: what a channel is worth to the task, for the looseness it costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, fx

from usncli.bounding.affine.engine import AffineEngine
from usncli.bounding.affine.plan import nonlinear_nodes
from usncli.bounding.rewriting import Vocabulary, rewrite
from usncli.bounding.rewriting.origins import layers_read
from usncli.perturbing import Boxes, PerturbationRange
from usncli.perturbing.lines import normalised
from usncli.pruning.criteria.context import ScoringContext
from usncli.pruning.criteria.weights import taylor_importance
from usncli.pruning.training import step_seed
from usncli.scoring.channel_index import index_channels, scored_layers
from usncli.scoring.streaming import evaluating

PIECES = 64
"""Equal pieces that a range is cut into along each parameter; one at random is looked at an image."""
IMAGES = 16
"""Images of a scoring whose bounds are looked at, at most."""
OUTPUTS = 16
"""Outputs whose bounds are looked at an image, at most."""
PIECE_PURPOSE = 4
"""Sets the choice of pieces and outputs apart from what else is drawn in a step (`step_seed`)."""


def looseness_importance(context: ScoringContext) -> tuple[Tensor, ...]:
    """Return ``t / (t + l)`` in [0, 1]: a channel's shares in what the task's loss and what the bounds get from it.

    t is the channel's share in the first-order change of the loss (`usncli.pruning.criteria.weights`), l its share in
    the bounds' looseness (`channel_looseness`). So channels are ranked by what they are worth for the looseness that
    they cost, and one that is worth nothing goes first. Ours; the source of the method knows no such criterion.
    """
    worth, cost = taylor_importance(context), channel_looseness(context)
    whole = max(sum(float(values.sum()) for values in worth), 1e-300)
    return tuple(_share(own / whole, other) for own, other in zip(worth, cost, strict=True))


def _share(first: Tensor, second: Tensor) -> Tensor:
    return torch.where(first > 0, first / (first + second).clamp(min=1e-300), 0.0)


def channel_looseness(context: ScoringContext) -> tuple[Tensor, ...]:
    """Return what relaxing each channel's activations adds to the bounds of the outputs, ``(channels,)`` a group.

    The sum over a channel's values of |a| times the relaxation's radius (`usncli.bounding.affine.looseness`), averaged
    over images, pieces of theta, outputs and perturbations; of each image as a share of all channels' sum, so that no
    image outweighs the others. Where no bound is loose at all every channel gets 0. A channel that several layers make
    gets the mean of its layers.

    Raises:
        UnsupportedOperationError: the network holds operations that cannot be bounded.
    """
    layers = scored_layers(context.groups)
    with torch.no_grad(), evaluating(context.pipeline):
        found = list(_by_layer(context, set(layers)))
    # What no activation reads is never relaxed.
    nothing = {layer: torch.zeros(width, dtype=torch.float64) for layer, width in _least_widths(context).items()}
    found = [nothing | part for part in found]
    widths = [(layer, len(found[0][layer])) for layer in layers]
    joined = torch.stack([torch.cat([part[layer] for layer in layers]) for part in found])
    whole = joined.sum(dim=1, keepdim=True)
    loose = (whole.isfinite() & (whole > 0)).squeeze(1)
    mean = (joined[loose] / whole[loose]).sum(dim=0) / loose.sum().clamp(min=1)
    index = index_channels(context.groups, widths)
    return index.split(index.average(mean, torch.ones_like(mean, dtype=torch.bool)))


def _least_widths(context: ScoringContext) -> dict[str, int]:
    """Return of every scored layer how many channels it has at least."""
    widths: dict[str, int] = {}
    for group in context.groups:
        for scored in group.scored:
            last = max((index for indices in scored.indices for index in indices), default=-1)
            widths[scored.module] = max(widths.get(scored.module, 0), last + 1)
    return widths


def _by_layer(context: ScoringContext, layers: set[str]) -> Iterator[dict[str, Tensor]]:
    """Yield, for each image and perturbation, what each layer's channels add to the looseness, on the CPU."""
    pipeline = context.pipeline
    example = pipeline.mean.new_zeros(1, *pipeline.preprocessing.input_shape, dtype=torch.float64)
    network = rewrite(cast(fx.GraphModule, pipeline.network), example, torch.float64, Vocabulary.FULL)
    engine = AffineEngine(network, example)
    outputs = int(network(example).shape[1])
    owners = {node.name: layers.intersection(layers_read(network, node)) for node in nonlinear_nodes(network)}
    generator = torch.Generator().manual_seed(step_seed(context.seed, context.step, PIECE_PURPOSE))
    chosen = torch.tensor(context.chosen_images()[:IMAGES])
    for image in context.images.take(chosen).images.double():
        for region in context.ranges:
            rows = torch.randperm(outputs, generator=generator)[:OUTPUTS].sort().values
            lines = region.perturbation.enclosure(image.unsqueeze(0), _piece(region, generator, image.device))
            lines = normalised(lines, pipeline.mean.double(), pipeline.std.double())
            by_node = engine.looseness(lines, rows.unsqueeze(0).to(image.device))
            totals: dict[str, Tensor] = {}
            for name, values in by_node.items():
                channels = values[0].double().reshape(values.shape[1], -1).sum(dim=1).cpu()
                for layer in owners[name]:
                    totals[layer] = totals[layer] + channels if layer in totals else channels
            yield totals


def _piece(region: PerturbationRange, generator: torch.Generator, device: torch.device) -> Boxes:
    """Return one of the pieces of a range, at random."""
    lower, upper = (torch.as_tensor(corner, dtype=torch.float64) for corner in region.corners())
    place = torch.randint(PIECES, lower.shape, generator=generator)
    ends = [(lower + (upper - lower) * (place + step) / PIECES).unsqueeze(0).to(device) for step in (0, 1)]
    return Boxes(*ends)
