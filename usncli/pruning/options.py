"""What a user can choose about fine-tuning and pruning, checked when it is made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from usncli.errors import ConfigurationError


class Criterion(StrEnum):
    """How channels are ranked; the least important ones are cut.

    ``usn``: instability under the perturbations. ``random``: a draw, the control. ``magnitude``: norm of the weights.
    ``taylor``: change of the loss to first order. ``batch-norm``: scale of the batch norm. ``relu-stability``: how far
    ReLUs stay from changing sign. ``looseness``: worth to the task for the looseness of bounds that it costs. ``none``:
    nothing is cut, all the rest of the training is the same.
    """

    USN = "usn"
    RANDOM = "random"
    MAGNITUDE = "magnitude"
    TAYLOR = "taylor"
    BATCH_NORM = "batch-norm"
    RELU_STABILITY = "relu-stability"
    LOOSENESS = "looseness"
    NONE = "none"


class Schedule(StrEnum):
    """How the pruned share grows along the ramp.

    ``cubic``: fast at first, slow towards the end. ``linear``: evenly. ``one-shot``: all of it where the ramp starts.
    """

    CUBIC = "cubic"
    LINEAR = "linear"
    ONE_SHOT = "one-shot"


class Target(StrEnum):
    """What the ratio is a share of.

    ``channels``: of all prunable channels. ``parameters``, ``multiply-adds``: of the whole network's.
    ``unstable-relus``: of the values of prunable channels in front of ReLUs that change sign in a range.
    """

    CHANNELS = "channels"
    PARAMETERS = "parameters"
    MULTIPLY_ADDS = "multiply-adds"
    UNSTABLE_RELUS = "unstable-relus"


class Best(StrEnum):
    """Which network of a run is its result.

    ``last``: the one after the last step. ``error``: the one of least validation error. ``certified``: the one of the
    highest certified rate, and among those the one of least error.
    """

    LAST = "last"
    ERROR = "error"
    CERTIFIED = "certified"


class WassersteinTarget(StrEnum):
    """What the Wasserstein loss pulls importances towards.

    ``two-point``: a share of them at 0, the rest at 1, over all channels. ``concentrated``: the zeros in as few groups
    as the floor allows, those that hold most of the least important channels.
    """

    TWO_POINT = "two-point"
    CONCENTRATED = "concentrated"


class Optimiser(StrEnum):
    """Rule by which weights move."""

    ADAMW = "adamw"
    SGD = "sgd"


class Precision(StrEnum):
    """Numbers in which the layers of a training step compute; weights, losses and scores stay in float32.

    ``float16`` is for CUDA GPUs and scales its gradients.
    """

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


@dataclass(frozen=True)
class OptimiserOptions:
    """How weights move: the rule, its rate and how long.

    Attributes:
        epochs: passes over the training images, above 0.
        steps: steps in all; where given, ``epochs`` is not used.
        batch_size: images a step, at least 2 (batch normalisation needs two).
        learning_rate: largest rate; it falls to 0 along a cosine after a short warm-up.
        weight_decay: decoupled decay of the weights, at least 0.
        optimiser: the rule.
        precision: in which a step computes.

    Raises:
        ConfigurationError: a number out of its range.
    """

    epochs: float = 20.0
    steps: int | None = None
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    optimiser: Optimiser = Optimiser.ADAMW
    precision: Precision = Precision.FLOAT32

    def __post_init__(self) -> None:
        _check("epochs", self.epochs, self.epochs > 0, "a number above 0")
        _check("steps", self.steps, self.steps is None or self.steps >= 1, "at least 1")
        _check("batch_size", self.batch_size, self.batch_size >= 2, "at least 2")
        _check("learning_rate", self.learning_rate, self.learning_rate > 0, "a number above 0")
        _check("weight_decay", self.weight_decay, self.weight_decay >= 0, "a number that is not negative")

    def total_steps(self, images: int) -> int:
        """Return the steps of the whole run on a data set of that many images."""
        if self.steps is not None:
            return self.steps
        return max(1, round(self.epochs * steps_in_epoch(images, self.batch_size)))


def steps_in_epoch(images: int, batch_size: int) -> int:
    """Return how many whole batches an epoch has; the rest is left out, another rest each epoch. At least 1."""
    return max(1, images // batch_size)


CHANNEL_LOSSES = ("unbiased", "smooth", "wasserstein")
"""Names of the losses on the channels that may be cut."""
LOSSES = (*CHANNEL_LOSSES, "consistency", "perturbed")
"""Names of the losses that are added to the task's own."""


@dataclass(frozen=True)
class LossOptions:
    """Weights of the losses that are added to the task's own.

    Attributes:
        unbiased_weight: lambda_u, of the mean shift of activations under perturbation.
        smooth_weight: lambda_s, of the variance of activations under perturbation.
        wasserstein_weight: lambda_W, of the distance between importances and the two-point target.
        consistency_weight: lambda_c, of the movement of predictions under perturbation.
        perturbed_weight: lambda_p, of the task's loss on perturbed images.
        wasserstein_target: what importances are pulled towards.
        wasserstein_limit: largest share of the task's gradient that the Wasserstein loss's gradient may have, by its
            2-norm; the weight is lowered to that. 0 lets it be.
        samples: thetas drawn a step for these losses, at least 2.
        ramps: for some of the losses, by name, the parts of the run, in [0, 1], between which its weight grows from 0;
            the other weights are whole from the first step.

    Raises:
        ConfigurationError: a number out of its range, or a ramp of a loss that does not exist.
    """

    unbiased_weight: float = 30.0
    smooth_weight: float = 30.0
    wasserstein_weight: float = 0.0
    consistency_weight: float = 5.0
    perturbed_weight: float = 0.0
    wasserstein_target: WassersteinTarget = WassersteinTarget.TWO_POINT
    wasserstein_limit: float = 0.0
    samples: int = 2
    ramps: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, weight in self.weights.items():
            _check(f"{name}_weight", weight, weight >= 0, "a number that is not negative")
        _check("wasserstein_limit", self.wasserstein_limit, self.wasserstein_limit >= 0, "a share that is not negative")
        _check("samples", self.samples, self.samples >= 2, "at least 2 (a variance needs two)")
        names = ", ".join(self.weights)
        for name, (start, end) in self.ramps.items():
            _check("loss_ramp", name, name in self.weights, f"the name of a loss ({names})")
            _check("loss_ramp", f"{name}={start:g},{end:g}", 0 <= start <= end <= 1, "0 <= start <= end <= 1")

    @property
    def weights(self) -> dict[str, float]:
        """The weight of every loss by its name, in the order in which they are added."""
        return {name: getattr(self, f"{name}_weight") for name in LOSSES}

    def any_with(self, channels: bool) -> bool:
        """Say whether any weight counts, so that perturbed images must be run; ``channels``: whether any may be cut."""
        counting = LOSSES if channels else LOSSES[len(CHANNEL_LOSSES) :]
        return any(self.weights[name] > 0 for name in counting)


@dataclass(frozen=True)
class MaskOptions:
    """Which channels are masked, and when.

    Attributes:
        ramp: parts of the run, in [0, 1], between which rho(t) grows from 0 to the ratio.
        schedule: how it grows.
        rescore: steps between two scorings during the ramp, at least 1.
        floor: least share of a group's channels that stays, in (0, 1]; at least one channel always stays. Instability
            gathers in the first layers: without a floor they would be cut to a channel or two.
        exclude: names, or name patterns such as ``encoder.*``, of layers that are left whole.
        scoring_images: images that a scoring looks at, at least 2 (a signal needs two).
        scoring_samples: thetas of a scoring, per perturbation dimension, at least 2.
        score_momentum: share of the running mean of importances that a new scoring leaves, in [0, 1).

    Raises:
        ConfigurationError: a number out of its range.
    """

    ramp: tuple[float, float] = (0.05, 0.5)
    schedule: Schedule = Schedule.CUBIC
    rescore: int = 20
    floor: float = 0.5
    exclude: tuple[str, ...] = ()
    scoring_images: int = 128
    scoring_samples: int = 5
    score_momentum: float = 0.0

    def __post_init__(self) -> None:
        start, end = self.ramp
        _check("ramp", f"{start:g}, {end:g}", 0 <= start < end <= 1, "two parts of the run, 0 <= start < end <= 1")
        _check("rescore", self.rescore, self.rescore >= 1, "at least 1 step")
        _check("floor", self.floor, 0 < self.floor <= 1, "a share above 0 and at most 1")
        _check("scoring_images", self.scoring_images, self.scoring_images >= 2, "at least 2")
        _check("scoring_samples", self.scoring_samples, self.scoring_samples >= 2, "at least 2")
        _check("score_momentum", self.score_momentum, 0 <= self.score_momentum < 1, "at least 0 and below 1")


@dataclass(frozen=True)
class BestOptions:
    """Which network of a run is its result, and how those in question are judged.

    Attributes:
        choice: the last one, or the best by evaluations on validation data, from when the masks are final.
        every: part of the run between two evaluations, in (0, 1]; the last step always has one.
        patience: evaluations in a row without a gain that end the run; 0 never ends it.
        images: images, evenly spread over the validation data, that an evaluation certifies, at least 1.
        seconds: time budget of each image and perturbation, above 0. What it ends depends on the machine, so that a
            run that goes on where it was cut short may then choose another network.
        tau: pixels that a keypoint, or the peak of a heatmap, may move there, above 0.

    Raises:
        ConfigurationError: a number out of its range, or patience without evaluations.
    """

    choice: Best = Best.LAST
    every: float = 0.05
    patience: int = 0
    images: int = 16
    seconds: float = 2.0
    tau: float = 2.0

    def __post_init__(self) -> None:
        _check("evaluate_every", self.every, 0 < self.every <= 1, "a part of the run above 0 and at most 1")
        _check("patience", self.patience, self.patience >= 0, "a whole number of evaluations, or 0 for none")
        if self.patience and self.choice == Best.LAST:
            raise ConfigurationError(
                f"patience: expected 0, since best {self.choice} evaluates nothing, got {self.patience}; choose best "
                f"{Best.ERROR} or {Best.CERTIFIED}"
            )
        _check("evaluate_images", self.images, self.images >= 1, "at least 1")
        _check("evaluate_seconds", self.seconds, self.seconds > 0, "a number above 0")
        _check("evaluate_tau", self.tau, self.tau > 0, "a number above 0")


@dataclass(frozen=True)
class AugmentOptions:
    """How far training images are moved at random, their keypoints with them; 0 leaves them as they are.

    Attributes:
        rotation: largest angle in degrees, to either side, in [0, 180].
        scale: largest share by which they are enlarged or shrunk, in [0, 1).
        shift: largest share of the larger side by which they are moved along each axis, in [0, 1).

    Raises:
        ConfigurationError: a number out of its range.
    """

    rotation: float = 0.0
    scale: float = 0.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        _check("rotation", self.rotation, 0 <= self.rotation <= 180, "degrees from 0 to 180")
        _check("scale", self.scale, 0 <= self.scale < 1, "a share of at least 0 and below 1")
        _check("shift", self.shift, 0 <= self.shift < 1, "a share of at least 0 and below 1")

    @property
    def any(self) -> bool:
        """Whether images are moved at all."""
        return max(self.rotation, self.scale, self.shift) > 0


@dataclass(frozen=True)
class CheckpointOptions:
    """What is written while a network trains, and when; the result does not depend on it.

    Attributes:
        seconds: at most this long between two checkpoints, above 0.
        steps: also after this many steps, where given.
        tensorboard: whether figures are also written for TensorBoard, into a folder beside the checkpoint.

    Raises:
        ConfigurationError: a number out of its range.
    """

    seconds: float = 120.0
    steps: int | None = None
    tensorboard: bool = False

    def __post_init__(self) -> None:
        _check("checkpoint_seconds", self.seconds, self.seconds > 0, "a number above 0")
        _check("checkpoint_steps", self.steps, self.steps is None or self.steps >= 1, "at least 1")


@dataclass(frozen=True)
class FinetuneOptions:
    """Everything about a run of ``usn finetune-prune``.

    The defaults are the recipe that the study found best (docs/results.md).

    Attributes:
        ratio: share that is cut, in [0, 1).
        target: what it is a share of.
        criterion: how channels are ranked.
        optimiser: how weights move.
        losses: what is added to the task's loss.
        masks: which channels are masked, and when.
        augment: how far images are moved.
        best: which network of the run is its result.
        checkpoint: when progress is written.
        seed: of every draw.

    Raises:
        ConfigurationError: a number out of its range, or a ratio of channels that the floor does not allow.
    """

    ratio: float = 0.45
    target: Target = Target.MULTIPLY_ADDS
    criterion: Criterion = Criterion.TAYLOR
    optimiser: OptimiserOptions = field(default_factory=OptimiserOptions)
    losses: LossOptions = field(default_factory=LossOptions)
    masks: MaskOptions = field(default_factory=MaskOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    best: BestOptions = field(default_factory=BestOptions)
    checkpoint: CheckpointOptions = field(default_factory=CheckpointOptions)
    seed: int = 0

    def __post_init__(self) -> None:
        _check("ratio", self.ratio, 0 <= self.ratio < 1, "a share of at least 0 and below 1 (1 would cut everything)")
        reachable = 1 - self.masks.floor
        if self.target == Target.CHANNELS and self.ratio > reachable + 1e-9 and self.criterion != Criterion.NONE:
            raise ConfigurationError(
                f"ratio: expected at most {reachable:g}, since floor {self.masks.floor:g} keeps that share of every "
                f"group, got {self.ratio:g}; lower the ratio or the floor"
            )
        _check("seed", self.seed, 0 <= self.seed < 2**31, "a whole number from 0 to 2147483647")

    def to_record(self) -> dict[str, Any]:
        """Return the options as plain JSON values."""
        return asdict(self)


def _check(name: str, value: object, holds: bool, expected: str) -> None:
    if not holds or (isinstance(value, float) and not math.isfinite(value)):
        raise ConfigurationError(f"{name}: expected {expected}, got {value}; change it in usn.yaml or by its flag")
