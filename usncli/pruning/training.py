"""The training loop. It knows no criterion and no loss: both are given to it as callables.

Whatever is drawn is a pure function of the seed and the step, so a run that was cut short ends, on a CPU, with the same
bits as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from usncli.errors import UsnError
from usncli.progress import ProgressCallback, ProgressUpdate, silent
from usncli.pruning.batch_share import ALONE, BatchShare
from usncli.pruning.interrupts import DeferredInterrupt
from usncli.pruning.options import LOSSES, CheckpointOptions, Optimiser, OptimiserOptions
from usncli.pruning.precision import gradient_scaler, mixed_precision
from usncli.pruning.scalars import FOLDER, ScalarLog, scalar_log
from usncli.pruning.state_file import TrainingState, load_state, save_state
from usncli.pruning.strided import pixels_chosen_first
from usncli.pruning.whole_batch import whole_batch_layers
from usncli.types import Batch

WARM_UP = 0.05
"""Part of the run in which the learning rate grows linearly."""

GRADIENT_NORM = 5.0
"""Gradients longer than this are shortened to it, so that one odd batch cannot throw the weights away."""

LOGGED_POINTS = 200
"""About how many points a history has."""

REPEATED_INTERRUPT = 5.0
"""Seconds in which a launcher's interruption and the terminal's are one."""


class StepLoss(NamedTuple):
    """The loss of one batch.

    Attributes:
        total: a scalar to go down.
        predictions: what the pipeline says of the clean images, without a gradient.
        terms: the losses that ``total`` is made of, by name, for people to watch; without a gradient.
    """

    total: Tensor
    predictions: Tensor
    terms: Mapping[str, Tensor]


@dataclass(frozen=True)
class TrainingPlan:
    """What happens in each step.

    Attributes:
        steps: steps of the whole run.
        batch: the images of a step; a pure function of the step.
        loss: the loss of a batch at a step.
        before_step: called with the number of steps finished before each step and once after the last; may mask.
        after_step: called when the weights have moved; keeps masked channels at zero.
        after_whole_step: called with the number of steps finished after each of them; may look at the network.
        ended: whether the run is over before its last step.
        figures: numbers for progress bars and histories, from a batch and its loss.
        state: what must be saved beside the network and its optimiser, such as masks: plain values and tensors.
        restore: takes the state of a saved run.
        share: of this process in a batch; ``loss`` runs it, and returns the loss of the whole batch.
        seed: of what the network itself draws, such as dropout.
    """

    steps: int
    batch: Callable[[int], Batch]
    loss: Callable[[Batch, int], StepLoss]
    figures: Callable[[Batch, StepLoss, int], dict[str, float]]
    before_step: Callable[[int], None] = lambda step: None
    after_step: Callable[[], None] = lambda: None
    after_whole_step: Callable[[int], None] = lambda step: None
    ended: Callable[[], bool] = lambda: False
    state: Callable[[], dict[str, Any]] = dict
    restore: Callable[[Mapping[str, Any]], None] = lambda state: None
    share: BatchShare = ALONE
    seed: int = 0


@dataclass(frozen=True)
class ProgressFile:
    """Where training progress is written, and for which run.

    Attributes:
        path: the file.
        fingerprint: of the run: its settings, weights and data.
        options: how often.
    """

    path: Path
    fingerprint: str
    options: CheckpointOptions


def learning_rate(step: int, steps: int, highest: float) -> float:
    """Return the rate of a step: a linear warm-up, then a cosine that ends at 0.

    Args:
        step: steps finished, 0 to ``steps`` - 1.
        steps: steps of the whole run.
        highest: the rate after the warm-up.
    """
    warm_up = min((step + 1) / (WARM_UP * steps), 1.0)
    return highest * warm_up * 0.5 * (1.0 + math.cos(math.pi * step / steps))


def train(
    network: nn.Module,
    plan: TrainingPlan,
    options: OptimiserOptions,
    file: ProgressFile | None = None,
    progress: ProgressCallback = silent,
) -> TrainingState:
    """Train a network in place, from where its progress file stands.

    Of several processes, each trains its own copy, and the first one's weights and progress file count.

    Args:
        network: trained in place; left in eval mode.
        plan: what happens in each step.
        options: how weights move.
        file: progress is read from it and written to it; none writes nothing.
        progress: told of every step.

    Returns:
        The state after the last step.

    Raises:
        UsnError: the loss is no longer a number.
        KeyboardInterrupt: after progress has been written, when the run is interrupted.
    """
    network.to(memory_format=torch.channels_last)  # convolutions train a quarter faster so, on CPUs as on GPUs
    optimiser = make_optimiser(network.parameters(), options)
    processes = plan.share.processes
    state = processes.from_first(lambda: _saved(file))
    if state is not None:
        _restore(state, network, optimiser, plan)
    processes.agree(network.state_dict().values())
    loop = _Loop(network, optimiser, plan, options, file if processes.first else None, state or TrainingState())
    devices = sorted({parameter.device.index or 0 for parameter in network.parameters() if parameter.is_cuda})
    patience = REPEATED_INTERRUPT if processes.count > 1 else 0.0
    with (
        torch.random.fork_rng(devices=devices),
        whole_batch_layers(network, plan.share),
        mixed_precision(network, options.precision),
        pixels_chosen_first(network),
        _figure_log(loop) as log,
        DeferredInterrupt(patience) as interrupt,
    ):
        try:
            loop.run(progress, interrupt, log)
        except KeyboardInterrupt:
            loop.save_if_whole()
            raise
        finally:
            network.to(memory_format=torch.contiguous_format).eval()
    return loop.snapshot()


def make_optimiser(parameters: Iterable[nn.Parameter], options: OptimiserOptions) -> torch.optim.Optimizer:
    """Return the optimiser of the options; only weights of two dimensions or more decay.

    Args:
        parameters: all that moves.
        options: rule and decay.
    """
    chosen = [parameter for parameter in parameters if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in chosen if parameter.dim() > 1], "weight_decay": options.weight_decay},
        {"params": [parameter for parameter in chosen if parameter.dim() <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if options.optimiser == Optimiser.SGD:
        return torch.optim.SGD(groups, lr=options.learning_rate, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=options.learning_rate)


class _Loop:
    """The state of a run between two steps."""

    def __init__(
        self,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        plan: TrainingPlan,
        options: OptimiserOptions,
        file: ProgressFile | None,
        state: TrainingState,
    ) -> None:
        self.network, self.optimiser, self.plan, self.options, self.file = network, optimiser, plan, options, file
        self.step, self.history = state.step, list(state.history)
        self.scaler = gradient_scaler(options.precision, next(network.parameters()).device)
        if state.scaler:
            self.scaler.load_state_dict(state.scaler)
        self.started = time.monotonic() - state.seconds
        self.saved_at, self.saved_step = time.monotonic(), state.step
        self.whole = True

    @property
    def over(self) -> bool:
        """Whether no step is left."""
        return self.step >= self.plan.steps or self.plan.ended()

    def run(self, progress: ProgressCallback, interrupt: DeferredInterrupt, log: ScalarLog) -> None:
        figures: dict[str, float] = self.history[-1] if self.history else {}
        log_every = max(1, self.plan.steps // LOGGED_POINTS)
        while not self.over:
            self.whole = False
            self.plan.before_step(self.step)
            batch = self.plan.batch(self.step)
            loss = self._move(batch)
            if (self.step + 1) % log_every == 0 or self.step + 1 == self.plan.steps:
                figures = {"step": self.step + 1} | self.plan.figures(batch, loss, self.step)
                self.history.append(figures)
                log(figures | {"learning-rate": self._learning_rate()})
            self.step += 1
            if self.step == self.plan.steps:
                self.plan.before_step(self.step)
            self.plan.after_whole_step(self.step)
            self.whole = True
            self._save_if_due()
            watched = {name: figures[name] for name in figures if name != "step"}
            progress(ProgressUpdate("training", self.step, self.plan.steps, watched))
            interrupt.requested = self.plan.share.processes.any(interrupt.requested)
            interrupt.raise_if_requested()

    def _learning_rate(self) -> float:
        return learning_rate(self.step, self.plan.steps, self.options.learning_rate)

    def _move(self, batch: Batch) -> StepLoss:
        """Move the weights once."""
        self.network.train()
        torch.manual_seed(step_seed(self.plan.seed, self.step))
        for group in self.optimiser.param_groups:
            group["lr"] = self._learning_rate()
        loss = self.plan.loss(batch, self.step)
        if not math.isfinite(loss.total.item()):
            raise UsnError(not_a_number_message(loss, self.step))
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(self.scaler.scale(loss.total))
        parameters = self.network.parameters()
        self.plan.share.processes.average([each.grad for each in parameters if each.grad is not None])
        self.scaler.unscale_(self.optimiser)
        nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_NORM)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.plan.after_step()
        return loss

    def snapshot(self) -> TrainingState:
        """Return the state as it stands; its tensors are the live ones."""
        return TrainingState(
            step=self.step,
            network=self.network.state_dict(),
            optimiser=self.optimiser.state_dict(),
            scaler=self.scaler.state_dict(),
            plan=self.plan.state(),
            history=self.history,
            seconds=time.monotonic() - self.started,
        )

    def save(self) -> None:
        if self.file is not None:
            save_state(self.file.path, self.snapshot(), self.file.fingerprint)
        self.saved_at, self.saved_step = time.monotonic(), self.step

    def save_if_whole(self) -> None:
        if self.whole and self.step > self.saved_step:
            self.save()

    def _save_if_due(self) -> None:
        if self.file is None:
            return
        every = self.file.options.steps
        by_steps = every is not None and self.step - self.saved_step >= every
        by_time = time.monotonic() - self.saved_at >= self.file.options.seconds
        if by_steps or by_time or self.over:
            self.save()


def step_seed(seed: int, step: int, purpose: int = 0) -> int:
    """Return a seed for what is drawn in one step, unrelated to those of the steps, seeds and purposes beside it."""
    return int(np.random.SeedSequence([seed, step, purpose]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def not_a_number_message(loss: StepLoss, step: int) -> str:
    """Say that a loss is no longer a number, which term it was, and what to lower."""
    broken = [name for name, value in loss.terms.items() if not math.isfinite(value.item())] or ["total"]
    flags = [f"--lambda-{name}" for name in broken if name in LOSSES] if "task" not in broken else []
    return (
        f"training step {step + 1}: expected a finite loss, got {float(loss.total.item())} "
        f"(from: {', '.join(broken)}); lower {' and '.join([*flags, '--learning-rate'])}"
    )


def _figure_log(loop: _Loop) -> AbstractContextManager[ScalarLog]:
    if loop.file is None or not loop.file.options.tensorboard:
        return nullcontext(lambda figures: None)
    return scalar_log(loop.file.path.parent / FOLDER, loop.step)


def _saved(file: ProgressFile | None) -> TrainingState | None:
    return load_state(file.path, file.fingerprint) if file is not None and file.path.exists() else None


def _restore(state: TrainingState, network: nn.Module, optimiser: torch.optim.Optimizer, plan: TrainingPlan) -> None:
    network.load_state_dict(state.network)
    optimiser.load_state_dict(state.optimiser)
    plan.restore(state.plan)
