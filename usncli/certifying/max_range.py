"""The largest eps that is certified and the smallest that is falsified.

A range around the identity shrinks by a scale: ``identity + scale * (range - identity)``. One search serves all scales:
it goes outward from the identity, and a counterexample, instead of ending it, gives up whatever lies beyond. When the
range just below the smallest known failure is proved, both answers are known to a relative gap.
"""

from __future__ import annotations

import torch
from torch import Tensor

from usncli.certifying.falsify import Seen, Target, Witness
from usncli.certifying.scaling import ScaledRange

GAP = 0.05
"""The smallest falsified scale is at most this share above the largest certified one."""
_RAY_POINTS = 16
_RAY_ROUNDS = 4
_RAY_GAP = 1.01


def target_scale(falsified: float) -> float:
    """Return the scale to certify where one is falsified."""
    return falsified / (1 + GAP)


def nearest_failure(target: Target, region: ScaledRange, seen: Seen) -> tuple[Witness | None, float]:
    """Find a replayed counterexample close to the identity, given some points that fail.

    Walks from the identity to the failing point at the smallest scale, and closes in on the first failure on the way.

    Args:
        target: what fails.
        region: the range.
        seen: points with their margins.

    Returns:
        The witness, or None if no point fails when it is replayed; and the work in passes of the network.
    """
    failing = seen.thetas[~(seen.margins > 0)]
    order = torch.tensor([region.scale_of(theta) for theta in failing]).argsort(stable=True)
    passes, witness = 0.0, None
    for theta in failing[order]:
        witness, passes = target.replay(theta), passes + 1
        if witness is not None:
            break
    if witness is None:
        return None, passes
    direction = torch.tensor(witness.theta, dtype=torch.float64) - region.identity
    safe, fails = 0.0, 1.0
    for _ in range(_RAY_ROUNDS):
        if fails <= safe * _RAY_GAP:
            break
        steps = torch.linspace(safe, fails, _RAY_POINTS + 2, dtype=torch.float64)
        thetas = (region.identity + steps[1:-1].unsqueeze(1) * direction).clamp(region.lower, region.upper)
        place, closer, spent = _first_failure(target, thetas)
        passes += spent
        safe, fails = float(steps[place]), float(steps[place + 1])
        witness = closer or witness
    return witness, passes


def _first_failure(target: Target, thetas: Tensor) -> tuple[int, Witness | None, float]:
    """Return the place and the witness of the first theta that fails; the number of them where none does."""
    margins = target.margins_of_many(thetas)
    passes = float(len(thetas))
    for place in (~(margins > 0)).nonzero().flatten().tolist():
        witness, passes = target.replay(thetas[place]), passes + 1
        if witness is not None:
            return place, witness, passes
    return len(thetas), None, passes
