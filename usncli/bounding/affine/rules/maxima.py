"""Maxima over windows."""

from __future__ import annotations

import torch
from torch import Tensor

from usncli.bounding.affine.enclosure import Enclosure
from usncli.bounding.affine.rounding import gamma
from usncli.bounding.affine.rules.operation import SPARE, Operation, Result
from usncli.bounding.affine.steps import SelectionStep


def maximum_over_windows(operation: Operation) -> Result:
    """The maximum over windows of the last two axes.

    Of each window the entry x with the highest centre leads. The maximum is x + max(0, largest other entry - x), and a
    difference of two entries is bounded by the difference of their lines. Where no other entry may exceed x, the
    maximum is x. Where one may, y, it is x + relu(y - x), relaxed as a ReLU is. Where several may, it is x give or
    take.
    """
    layer, (given,) = operation.layer, operation.inputs
    flat = Enclosure(given.centre.flatten(2), given.slopes.flatten(3), given.radius.flatten(2))
    centre, spread = flat.middle()
    windows: Tensor = layer.windows
    best = centre[..., windows].argmax(dim=2)
    first = windows.T.expand(*best.shape, -1).gather(-1, best.unsqueeze(-1)).squeeze(-1)
    leader = _at(flat, centre, spread, first)
    rivals = torch.zeros_like(first)
    highest, lowest, second = torch.zeros_like(leader[0]), torch.zeros_like(leader[0]), first
    for positions in windows:
        lower, upper = _difference(operation, _at(flat, centre, spread, positions.expand_as(first)), leader)
        # What is not a number may exceed, too.
        rival = ~(upper <= 0) & (positions != first)
        higher = rival & ~(upper <= highest)
        rivals = rivals + rival
        # Unlike a comparison, a maximum keeps what is not a number.
        highest = torch.where(rival, torch.maximum(highest, upper), highest)
        lowest = torch.where(higher, lower, lowest)
        second = torch.where(higher, positions, second)
    alone = rivals == 1
    share = torch.where(alone, (highest / (highest - lowest)).clamp(0, 1), torch.zeros_like(highest))
    half = torch.maximum(torch.where(alone, -share * lowest, highest), (1 - share) * highest) / 2
    mixing, returning = _lost(operation, rivals > 0, leader[0].abs() + leader[1] + highest)
    shapes = (given.centre.shape[1:], torch.Size((*given.centre.shape[1:-2], *layer.output_sizes)))
    half, error, charged = (part.reshape(-1, *shapes[1]) for part in (half, half + mixing, half + returning))
    step = SelectionStep(operation.sources, half, charged, first, second, share, shapes, centred=True)
    enclosure = Enclosure(step.apply(given.centre) + half, step.apply(given.slopes), step.apply(given.radius))
    return Result(enclosure, step, error)


def _at(flat: Enclosure, centre: Tensor, spread: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return centre, spread, slopes and radius at positions ``(pieces, channels, outputs)``."""
    directions = flat.slopes.shape[1]
    return (
        centre.gather(-1, positions),
        spread.gather(-1, positions),
        flat.slopes.gather(-1, positions.unsqueeze(1).expand(-1, directions, -1, -1)),
        flat.radius.gather(-1, positions),
    )


def _lost(operation: Operation, mixed: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
    """Return what rounding may lose of mixtures of entries, and with that of the coefficients that come back to one."""
    readers = int(torch.bincount(operation.layer.windows.flatten()).max())
    mixing = torch.where(mixed, sizes * (SPARE * operation.working), torch.zeros_like(sizes))
    # An entry that one window reads gets back what that has.
    returning = mixing if readers == 1 else sizes * gamma(SPARE + 2 * readers, operation.working)
    return mixing, returning


def _difference(
    operation: Operation, entry: tuple[Tensor, Tensor, Tensor, Tensor], leader: tuple[Tensor, Tensor, Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the least and the greatest value of one entry less another."""
    middle = entry[0] - leader[0]
    far = (entry[2] - leader[2]).abs().sum(dim=1) + entry[3] + leader[3]
    sizes = entry[0].abs() + leader[0].abs() + entry[1] + leader[1]
    far = far + sizes * ((entry[2].shape[1] + SPARE) * operation.working)
    return middle - far, middle + far
