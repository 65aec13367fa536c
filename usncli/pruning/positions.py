"""Activations at some positions of every map, taken while a network runs, with gradients that cost little.

The stability losses are averages over positions, so a part of them estimates the same. They are taken as soon as a
layer has run, so that whole maps are freed as they are in any training step; and their gradients are added to the one
that comes back through the network, not spread over a map of zeros first.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn

from usncli.pruning.training import step_seed
from usncli.scoring.activations import reading_activations

POSITIONS = 16
"""About how many positions of a map a step looks at: with 32 images, averages over some 500 values a channel."""

POSITION_PURPOSE = 5
"""Sets the choice of positions apart from what else is drawn in a step (`step_seed`)."""

RELUS = (torch.ops.aten.relu.default,)
"""What a captured network calls where it has a ReLU."""

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
    unshared = layers_before_relu(network) if isinstance(network, fx.GraphModule) else frozenset()

    def tap(name: str, output: Tensor) -> Tensor:
        passed: Tensor
        passed, taken[name] = _Tap.apply(output, position_grid(output.shape[2:], step), name in unshared)
        return passed if captured else passed.clone()

    with reading_activations(network, layers, tap):
        yield taken


def layers_before_relu(network: fx.GraphModule) -> frozenset[str]:
    """Return the layers that run once and whose output goes to a ReLU and nowhere else.

    The gradient that comes back to such a layer is a tensor that the ReLU's backward has just made and nothing else
    holds, so that it may be changed in place. A sum, in contrast, hands one gradient to all that it adds.

    Args:
        network: as `usncli.loading.capture` returns it.
    """
    calls = network.graph.find_nodes(op="call_module")
    runs = Counter(str(node.target) for node in calls)
    return frozenset(
        str(node.target)
        for node in calls
        if runs[str(node.target)] == 1 and len(node.users) == 1 and next(iter(node.users)).target in RELUS
    )


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
    def forward(ctx: Any, activations: Tensor, grid: Grid, unshared: bool) -> tuple[Tensor, Tensor]:
        ctx.place, ctx.shape, ctx.unshared = (slice(None), slice(None), *grid), activations.shape, unshared
        ctx.set_materialize_grads(False)
        return activations, activations[ctx.place].clone(memory_format=torch.contiguous_format)

    @staticmethod
    def backward(ctx: Any, passed: Tensor | None, taken: Tensor | None) -> tuple[Tensor | None, None, None]:
        if taken is None:
            return passed, None, None
        if passed is None:
            passed = taken.new_zeros(ctx.shape)
        elif not ctx.unshared:
            # A residual sum hands one gradient to several layers. The copy keeps the memory layout, since batch norm's
            # backward is slow on a mixture of layouts.
            passed = passed.clone()
        passed[ctx.place] += taken
        return passed, None, None
