"""How the pruned share and the weights of losses grow during training, and at which steps the masks follow."""

from __future__ import annotations

from usncli.pruning.options import LossOptions, MaskOptions, Schedule


def ramp(step: int, steps: int, start: float, end: float) -> float:
    """Return how far a step is on the way between two parts of the run: 0 up to the one, 1 from the other on.

    Args:
        step: steps finished, 0 to ``steps``.
        steps: steps of the whole run, at least 1.
        start: part of the run, in [0, 1].
        end: part of the run, in [start, 1]; where both are the same, it is reached there.
    """
    past = step / steps - start
    if start == end:
        return 1.0 if past >= 0 else 0.0
    return min(max(past / (end - start), 0.0), 1.0)


def rho(
    step: int,
    steps: int,
    ratio: float,
    ramp_start: float = 0.0,
    ramp_end: float = 1.0,
    schedule: Schedule = Schedule.CUBIC,
) -> float:
    """Return the share that is to be masked at ``step``: it grows from 0 to ``ratio`` along the ramp.

    With t from 0 to 1 between the two ends of the ramp, cubic is ``ratio * (1 - (1 - t)^3)``: fast while many channels
    are still spare, slow towards the end (the gradual schedule of Zhu and Gupta, arXiv 1710.01878, equation 1). Linear
    is ``ratio * t``. One-shot is ``ratio`` from the ramp's start on; where it ends is not used. The source of the
    method only says that the ratio is progressive; the shapes are our choice.

    Args:
        step: steps finished, 0 to ``steps``.
        steps: steps of the whole run, at least 1.
        ratio: share at the end, in [0, 1).
        ramp_start: part of the run, in [0, 1], before which nothing is masked.
        ramp_end: part of the run, in (ramp_start, 1], after which the whole ratio is.
        schedule: the shape.

    Returns:
        A share in [0, ratio].
    """
    if schedule == Schedule.ONE_SHOT:
        return ratio if step >= round(ramp_start * steps) else 0.0
    progress = ramp(step, steps, ramp_start, ramp_end)
    return ratio * (progress if schedule == Schedule.LINEAR else 1.0 - (1.0 - progress) ** 3)


def mask_steps(
    steps: int, ramp_start: float, ramp_end: float, rescore: int, schedule: Schedule = Schedule.CUBIC
) -> tuple[int, ...]:
    """Return the steps before which channels are scored anew and the masks follow `rho`.

    Every ``rescore`` steps counted back from the step nearest to the end of the ramp; steps at which `rho` is still 0
    are left out. One-shot has one step.

    Args:
        steps: steps of the whole run, at least 1.
        ramp_start: part of the run, in [0, 1], at which the ramp begins.
        ramp_end: part of the run, in (ramp_start, 1], at which it ends.
        rescore: steps between two scorings, at least 1.
        schedule: the shape of `rho`.

    Returns:
        Increasing steps; at least one, in [0, steps].
    """
    if schedule == Schedule.ONE_SHOT:
        return (round(ramp_start * steps),)
    first, last = ramp_start * steps, round(ramp_end * steps)
    last = max(last, round(first))
    chosen = [step for step in range(last, -1, -rescore) if step > first]
    return tuple(reversed(chosen)) or (last,)


def mask_shares(steps: int, ratio: float, options: MaskOptions) -> dict[int, float]:
    """Return, for every step before which the masks follow `rho`, the share to be masked there.

    The last one is the whole ratio, also where the ramp ends between two steps.

    Args:
        steps: steps of the whole run, at least 1.
        ratio: share at the end, in [0, 1).
        options: ramp, its shape, and steps between scorings.
    """
    chosen = mask_steps(steps, *options.ramp, options.rescore, options.schedule)
    shares = {step: rho(step, steps, ratio, *options.ramp, options.schedule) for step in chosen}
    return shares | {chosen[-1]: ratio}


def evaluation_steps(steps: int, masked: int, every: float) -> tuple[int, ...]:
    """Return the numbers of finished steps after which a network that may be the result is evaluated.

    Evenly spaced, counted back from the last step, so that it is among them.

    Args:
        steps: steps of the whole run, at least 1.
        masked: steps finished when the masks become final, at most ``steps``.
        every: part of the run between two evaluations, in (0, 1].

    Returns:
        Increasing; above ``masked``, or ``steps`` alone where the masks become final there.
    """
    chosen = range(steps, masked, -max(1, round(every * steps)))
    return tuple(reversed(chosen)) or (steps,)


def loss_weights(options: LossOptions, step: int, steps: int) -> dict[str, float]:
    """Return the weight of every loss at a step, by name.

    Args:
        options: the weights, and the ramps of some.
        step: steps finished.
        steps: steps of the whole run.
    """
    return {
        name: weight * ramp(step, steps, *options.ramps.get(name, (0.0, 0.0)))
        for name, weight in options.weights.items()
    }
