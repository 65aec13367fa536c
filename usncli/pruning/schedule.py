"""How the pruned share grows during training, and at which steps the masks follow it."""

from __future__ import annotations


def rho(step: int, steps: int, ratio: float, ramp_start: float = 0.0, ramp_end: float = 1.0) -> float:
    """Return the share of channels to be masked at ``step``: a cubic ramp from 0 to ``ratio``.

    ``ratio * (1 - (1 - t)^3)`` with t from 0 to 1 between the two ends of the ramp: fast while many channels are still
    spare, slow towards the end (the gradual schedule of Zhu and Gupta, arXiv 1710.01878, equation 1). The source of
    the method only says that the ratio is progressive; the shape is our choice.

    Args:
        step: steps finished, 0 to ``steps``.
        steps: steps of the whole run, at least 1.
        ratio: share at the end, in [0, 1).
        ramp_start: part of the run, in [0, 1], before which nothing is masked.
        ramp_end: part of the run, in (ramp_start, 1], after which the whole ratio is.

    Returns:
        A share in [0, ratio].
    """
    progress = (step / steps - ramp_start) / (ramp_end - ramp_start)
    progress = min(max(progress, 0.0), 1.0)
    return ratio * (1.0 - (1.0 - progress) ** 3)


def mask_steps(steps: int, ramp_start: float, ramp_end: float, rescore: int) -> tuple[int, ...]:
    """Return the steps before which channels are scored anew and the masks follow `rho`.

    Every ``rescore`` steps counted back from the end of the ramp, so that the last one is where `rho` reaches the whole
    ratio; steps at which `rho` is still 0 are left out.

    Args:
        steps: steps of the whole run, at least 1.
        ramp_start: part of the run, in [0, 1], at which the ramp begins.
        ramp_end: part of the run, in (ramp_start, 1], at which it ends.
        rescore: steps between two scorings, at least 1.

    Returns:
        Increasing steps; at least one, in [0, steps].
    """
    first, last = ramp_start * steps, round(ramp_end * steps)
    last = max(last, round(first))
    chosen = [step for step in range(last, -1, -rescore) if step > first]
    return tuple(reversed(chosen)) or (last,)
