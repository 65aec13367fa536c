"""Activations at some positions of every map, taken while a network runs, with gradients that cost little.

The stability losses are averages over positions, so a part of them estimates the same. They are taken as soon as a
layer has run, so that whole maps are freed as they are in any training step; and their gradients are added to the one
that comes back through the network, not spread over a map of zeros first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn

from usncli.pruning.training import step_seed
from usncli.scoring.activations import reading_activations

POSITIONS = 64
"""About how many positions of a map a step looks at."""

POSITION_PURPOSE = 5
"""Sets the choice of positions apart from what else is drawn in a step (`step_seed`)."""

Grid = tuple[slice, ...]
"""One slice for each axis of a map."""


@contextmanager
def tapped_activations(network: nn.Module, layers: Iterable[str], step: int) -> Iterator[dict[str, Tensor]]:
    """Collect the activations of named layers at the positions of a step, with their gradients.

    A layer that runs several times keeps its last ones. Outside a captured network, whose operations all leave their
    inputs alone, outputs are copied, since an in-place operation may stand behind a layer.

    Args:
        network: the network.
        layers: names of modules.
        step: shifts the grid of positions.

    Yields:
        A dictionary that every forward pass fills: name -> ``(batch, channels, ...)``, channels second.
    """
    taken: dict[str, Tensor] = {}
    captured = isinstance(network, fx.GraphModule)

    def tap(name: str, output: Tensor) -> Tensor:
        passed: Tensor
        passed, taken[name] = _Tap.apply(output, position_grid(output.shape[2:], step))
        return passed if captured else passed.clone()

    with reading_activations(network, layers, tap):
        yield taken


def position_grid(size: torch.Size, step: int) -> Grid:
    """Return an even grid of at most about `POSITIONS` positions of a map, another one each step.

    Args:
        size: of the map, one number an axis; none where a layer has no map.
        step: shifts the grid.
    """
    if not size:
        return ()
    stride = math.ceil((math.prod(size) / POSITIONS) ** (1 / len(size)))
    shift = step_seed(0, step, POSITION_PURPOSE) if stride > 1 else 0
    return tuple(slice(shift // stride**axis % min(stride, extent), None, stride) for axis, extent in enumerate(size))


class _Tap(torch.autograd.Function):
    """Identity, and a copy of some positions."""

    @staticmethod
    def forward(ctx: Any, activations: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
        ctx.place, ctx.shape = (slice(None), slice(None), *grid), activations.shape
        ctx.set_materialize_grads(False)
        return activations, activations[ctx.place].clone(memory_format=torch.contiguous_format)

    @staticmethod
    def backward(ctx: Any, passed: Tensor | None, taken: Tensor | None) -> tuple[Tensor | None, None]:
        if taken is None:
            return passed, None
        # A copy, for a residual sum hands one gradient to several layers; its memory layout is kept, since batch
        # norm's backward is slow on a mixture of layouts.
        whole = taken.new_zeros(ctx.shape) if passed is None else passed.clone()
        whole[ctx.place] += taken
        return whole, None
