"""What our own engine says of every node contains samples of it: every operation, and random graphs of them.

The whole set, 300 graphs and 10,000 samples, runs with ``USN_SOUNDNESS=full``.
"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch
from containment import (
    EVERYTHING,
    Setting,
    bounder,
    centre_values,
    drawn_setting,
    forward_state,
    output_rows,
    tightened,
    violations,
)
from random_networks import OPERATIONS, SHAPE, one_operation, random_lines, random_network
from torch import Tensor

from usncli.bounding.affine.effort import Effort
from usncli.bounding.method import Arithmetic
from usncli.perturbing import Lines

FULL = os.environ.get("USN_SOUNDNESS") == "full"
GRAPHS, SAMPLES, SEEDS, TARGETS = (300, 10_000, 4, 1000) if FULL else (10, 100, 1, 1)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation(name: str) -> None:
    for seed in range(SEEDS):
        network = one_operation(name, seed)
        settings = (
            Setting(seed, (1e-6, 0.2), working=torch.float32),
            Setting(seed, (0.05, 2.0), 2, 1, 1e-4, 0.05, torch.float64, True, replace(EVERYTHING, symbols=3000)),
        )
        # In turn, unless there is time for both.
        first = list(OPERATIONS).index(name) % 2
        for setting in settings if FULL else settings[first : first + 1]:
            assert violations(network, setting, SAMPLES, TARGETS) == {}, setting


@pytest.mark.parametrize("seed", range(GRAPHS))
def test_random_graphs(seed: int) -> None:
    assert violations(random_network(seed), drawn_setting(seed), SAMPLES, TARGETS) == {}


@pytest.mark.parametrize("name", OPERATIONS)
def test_zero_width_gives_the_forward_pass(name: str) -> None:
    network = one_operation(name, 1)
    lines = random_lines(1, (0.0,), errors=1)
    for working, digits in ((torch.float32, 1e-4), (torch.float64, 1e-11)):
        state = forward_state(network, lines, working=working)
        for node, enclosure in state.enclosures.items():
            # A softplus that steps to the identity at its threshold may be either there.
            assert bool((enclosure.radius <= digits * (1 + enclosure.centre.abs().amax())).all()), (node, working)
        part = bounder(network, Arithmetic.REAL, EVERYTHING, SHAPE)
        rows = output_rows(part.plan.sizes[part.plan.nodes[-1]], 1)
        centre = centre_values(network, lines, rows)
        bounds = tightened(part, lines, rows, 1, working)
        assert bool((bounds <= centre + 1e-12 * (1 + centre.abs())).all())
        assert torch.allclose(bounds, centre, rtol=digits, atol=digits)


def cut(whole: Lines, count: int) -> Lines:
    """Return equal parts of a piece of one parameter."""
    at = (torch.arange(count, dtype=torch.float64) * 2 + 1) / count - 1
    slope = (whole.lower_slope / count).expand(count, *whole.lower_slope.shape[1:])
    moved = at.view(-1, *[1] * (whole.lower.dim() - 1)) * whole.lower_slope[:, 0]
    return Lines(slope, whole.lower + moved, slope, whole.upper + moved)


def test_smaller_pieces_do_not_loosen() -> None:
    """Lines parallel to a chord are not nested, so a row may lose a little; most lose nothing, and all converge."""
    lost, left = [], []
    for seed in range(60 if FULL else 3):
        network = random_network(seed)
        for effort in (Effort(0.0, 0.0, -torch.inf), EVERYTHING):
            part = bounder(network, Arithmetic.REAL, effort, SHAPE)
            outputs = part.plan.sizes[part.plan.nodes[-1]]
            whole = random_lines(seed, (0.4,))
            centre = centre_values(network, whole, output_rows(outputs, 1))

            def bounds(count: int, part=part, outputs=outputs, whole=whole) -> Tensor:
                parts = cut(whole, count)
                return tightened(part, parts, output_rows(outputs, count), 1, torch.float64)

            first = bounds(1)
            looseness = (centre - first).amax() + 1e-6
            for count in (2, 4, 16):
                lost.append((first - bounds(count).amin(dim=0)) / looseness)
            wide, narrow = (
                (centre_values(network, cut(whole, count), output_rows(outputs, count)) - bounds(count)).amax() + 1e-9
                for count in (4, 64)
            )
            left.append(narrow / wide)
    shares = torch.cat([part.flatten() for part in lost])
    assert float(shares.max()) < 0.15
    assert float((shares > 1e-6).double().mean()) < 0.05
    # The image moves a sixteenth of the way; only a function that steps, as softplus may, keeps what it loses.
    assert float(torch.stack(left).quantile(0.8)) < 1 / 10
