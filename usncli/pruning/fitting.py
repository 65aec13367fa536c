"""Train a network for its task alone: the dense baseline, and the batches and figures that every training shares."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from usncli.loading.batching import epoch_order
from usncli.loading.metrics import prediction_error, require_matching_labels
from usncli.loading.pipeline import Pipeline
from usncli.progress import ProgressCallback, silent
from usncli.pruning.augmenting import augmented
from usncli.pruning.batch_share import ALONE, BatchShare
from usncli.pruning.fingerprint import fingerprint_of
from usncli.pruning.options import AugmentOptions, CheckpointOptions, OptimiserOptions, steps_in_epoch
from usncli.pruning.precision import require_precision
from usncli.pruning.processes import Processes
from usncli.pruning.scalars import require_tensorboard
from usncli.pruning.state_file import TrainingState
from usncli.pruning.task_losses import task_loss
from usncli.pruning.training import ProgressFile, StepLoss, TrainingPlan, train
from usncli.pruning.training_images import TrainingImages, read_training_images
from usncli.types import Batch, ImageData

STILL = AugmentOptions()
"""Images stay as they are."""


def fit(
    pipeline: Pipeline,
    data: ImageData,
    options: OptimiserOptions,
    *,
    augment: AugmentOptions = STILL,
    seed: int = 0,
    folder: Path | None = None,
    checkpoint: CheckpointOptions | None = None,
    processes: Processes | None = None,
    progress: ProgressCallback = silent,
) -> TrainingState:
    """Train a pipeline's network in place for its task alone, and leave it in eval mode.

    Args:
        pipeline: on the device where it trains.
        data: labelled images at its input size.
        options: how weights move, and how long.
        augment: how far images are moved.
        seed: of the order of the images, their movements and what the network draws.
        folder: training progress is kept there, so that the same call resumes; none keeps nothing.
        checkpoint: when progress is written, and what else.
        processes: that train together, see `usncli.pruning.launching`; by default this one alone.
        progress: told of every step, in the first process.

    Returns:
        The state after the last step, with its history: step, loss and error on the batch.

    Raises:
        InputError: the data have no labels, or others than the network predicts.
        ConfigurationError: a precision that the device does not train in, or TensorBoard is asked for and missing.
        UsnError: the loss is no longer a number.
    """
    require_matching_labels(pipeline, data)
    checkpoint, processes = checkpoint or CheckpointOptions(), processes or Processes()
    require_means(options, checkpoint, pipeline.mean.device)
    progress = progress if processes.first else silent
    images = read_training_images(data, pipeline.mean.device, progress)
    share = BatchShare(min(options.batch_size, len(images)), processes)
    plan = TrainingPlan(
        steps=options.total_steps(len(images)),
        batch=make_batches(images, options.batch_size, seed, augment),
        loss=lambda batch, step: task_step_loss(pipeline, batch, share),
        figures=lambda batch, loss, step: batch_figures(pipeline, batch, loss),
        share=share,
        seed=seed,
    )
    file = None
    if folder is not None:
        settings = {"options": repr(options), "augment": repr(augment), "seed": seed}
        fingerprint = fingerprint_of(pipeline, [data], settings)
        file = ProgressFile(folder / "training.pt", fingerprint, checkpoint)
    return train(pipeline.network, plan, options, file, progress)


def require_means(options: OptimiserOptions, checkpoint: CheckpointOptions, device: torch.device) -> None:
    """Check, before any work, what a training needs of the machine.

    Raises:
        ConfigurationError: a precision that the device does not train in, or TensorBoard is asked for and missing.
    """
    require_precision(options.precision, device)
    if checkpoint.tensorboard:
        require_tensorboard()


def make_batches(
    images: TrainingImages, size: int, seed: int, augment: AugmentOptions = STILL
) -> Callable[[int], Batch]:
    """Return the batch of a step as a pure function of the step: each epoch another order, its odd rest left out.

    Args:
        images: the training images.
        size: images a batch; fewer where there are not as many.
        seed: of the orders and of the movements.
        augment: how far images are moved.
    """
    orders: dict[int, Tensor] = {}
    in_epoch = steps_in_epoch(len(images), size)

    def batch(step: int) -> Batch:
        epoch, position = divmod(step, in_epoch)
        if epoch not in orders:
            orders.clear()
            orders[epoch] = epoch_order(len(images), seed, epoch)
        return images.take(orders[epoch][position * size : (position + 1) * size])

    return augmented(batch, augment, seed)


def task_step_loss(pipeline: Pipeline, batch: Batch, share: BatchShare = ALONE) -> StepLoss:
    """Return the task's loss of a batch, as a step's whole loss; the network runs this process's share of it."""
    predictions = share.whole(pipeline(share.own(batch.images)))
    loss = task_loss(predictions, batch.targets, pipeline.task, image_size(pipeline))
    return StepLoss(loss, predictions.detach(), {"task": loss.detach()})


@torch.no_grad()
def batch_figures(pipeline: Pipeline, batch: Batch, loss: StepLoss) -> dict[str, float]:
    """Return loss, error and the terms of the loss as plain numbers; a term that is not a number is left out."""
    error = prediction_error(pipeline.task, loss.predictions, batch.targets, image_size(pipeline))
    figures = {"loss": loss.total.item(), "error": error.item()}
    if len(loss.terms) > 1:
        figures |= {name: value.item() for name, value in loss.terms.items()}
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def image_size(pipeline: Pipeline) -> tuple[int, int]:
    """Return height and width of the network's input in pixels."""
    return pipeline.preprocessing.height, pipeline.preprocessing.width
