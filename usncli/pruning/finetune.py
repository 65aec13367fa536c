"""Fine-tune a network while its least important channels are masked, then cut them out and save what is left."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx

from usncli.errors import ConfigurationError, InputError, UnsupportedOperationError
from usncli.loading.capture import capture
from usncli.loading.metrics import ERROR_UNITS, error_on_data, require_matching_labels
from usncli.loading.network_file import load_network, save_network
from usncli.loading.pipeline import Pipeline
from usncli.perturbing.ranges import PerturbationRange
from usncli.progress import ProgressCallback, silent
from usncli.pruning.batch_share import BatchShare
from usncli.pruning.best_network import BestNetwork, Evaluate, Evaluation
from usncli.pruning.complexity import measure_complexity
from usncli.pruning.criteria import ScoringContext, make_criterion
from usncli.pruning.fingerprint import fingerprint_of
from usncli.pruning.fitting import batch_figures, make_batches, require_means, task_step_loss
from usncli.pruning.gradient_limit import GradientLimit
from usncli.pruning.masking import ProgressiveMasking
from usncli.pruning.masks import ChannelMasker
from usncli.pruning.options import Best, FinetuneOptions
from usncli.pruning.processes import Processes
from usncli.pruning.record import CutGroup, FinetuneRecord, record_cut
from usncli.pruning.schedule import evaluation_steps
from usncli.pruning.stability import StabilityLoss
from usncli.pruning.state_file import other_run_message
from usncli.pruning.surgery import cut
from usncli.pruning.targets import make_quantity, require_reachable, shortfall
from usncli.pruning.training import ProgressFile, StepLoss, TrainingPlan, train
from usncli.pruning.training_images import TrainingImages, read_training_images
from usncli.pruning.wasserstein import Separation
from usncli.scoring.groups import GroupAnalysis, analyse_groups
from usncli.types import Batch, ImageData

RESULT_FILE = "pruned.safetensors"
"""Name of the pruned network in a run's folder."""

PROGRESS_FILE = "training.pt"
"""Name of the training progress in a run's folder; it is there only while a run is unfinished."""


def finetune_prune(
    pipeline: Pipeline,
    data: ImageData,
    ranges: PerturbationRange | Sequence[PerturbationRange],
    options: FinetuneOptions,
    folder: Path,
    *,
    validation: ImageData | None = None,
    evaluate: Evaluate | None = None,
    earlier: Sequence[CutGroup] = (),
    processes: Processes | None = None,
    progress: ProgressCallback = silent,
) -> FinetuneRecord:
    """Train with masks that follow rho(t), cut what is masked, and write ``pruned.safetensors``.

    The same call resumes a run that was cut short, on a CPU with as many threads to the same bits; after a finished
    run it returns the record that it finds. The method follows the summary of arXiv 2510.00083; its formulas here are
    ours.

    Args:
        pipeline: the network; it stays as it is. Trained on the device where it lies.
        data: labelled training images at its input size.
        ranges: perturbations that the network shall be stable under, taken in turn.
        options: all choices.
        folder: of the run.
        validation: labelled images on which the error before and after is measured.
        evaluate: judges networks on the way where the options ask for the best one; a pure function of the network, if
            a run that is resumed is to end with the same bits.
        earlier: what had been cut from the network before, so that the record keeps the first numbering.
        processes: that train together, each calling this, see `usncli.pruning.launching`; by default this one alone.
        progress: told of every step, in the first process.

    Returns:
        What was done; ``path`` is the pruned network.

    Raises:
        InputError: data without labels, or labels that the network does not predict; damaged files in the folder.
        ConfigurationError: no perturbation; a ratio that the floor does not allow; nothing to judge networks by; a
            folder that belongs to a run with other settings, weights or data; or a precision, a log or a number of
            processes that cannot be had here.
        UnsupportedOperationError: no channel can be cut.
        UsnError: the loss is no longer a number.
        KeyboardInterrupt: after progress has been written, when the run is interrupted.
    """
    chosen = (ranges,) if isinstance(ranges, PerturbationRange) else tuple(ranges)
    if not chosen:
        raise ConfigurationError("finetune-prune: expected at least one perturbation, got none; give --perturb")
    if options.best.choice != Best.LAST and evaluate is None:
        raise ConfigurationError(f"best {options.best.choice}: expected a callable that judges networks, got none")
    for what, images in (("training", data), ("validation", validation)):
        if images is not None:
            _require_labels(pipeline, images, what)
    processes = processes or Processes()
    progress = progress if processes.first else silent
    require_means(options.optimiser, options.checkpoint, pipeline.mean.device)
    fingerprint = _fingerprint(pipeline, [data, *([validation] if validation else [])], chosen, options)
    path = folder / RESULT_FILE
    finished = processes.from_first(lambda: _finished(path, fingerprint) if path.exists() else None)
    if finished is not None:
        return finished
    run = _prepare(pipeline, data, chosen, options, processes, progress)
    file = ProgressFile(folder / PROGRESS_FILE, fingerprint, options.checkpoint)
    best = run.best_network(evaluate)
    state = train(run.pipeline.network, run.plan(best), options.optimiser, file, progress)
    best.load()
    smaller = run.cut_pipeline()
    masks, reached = run.masking.masker.masks, run.masking.reached
    record = FinetuneRecord(
        path=path,
        options=options.to_record(),
        perturbations=tuple(part.label for part in chosen),
        error_unit=ERROR_UNITS[pipeline.task],
        error_before=_error(pipeline, validation),
        error_after=_error(smaller, validation),
        complexity_before=measure_complexity(pipeline),
        complexity_after=measure_complexity(smaller),
        rho=run.masking.share,
        reached=reached,
        note=shortfall(options, run.masking.quantity, reached),
        steps=state.step,
        chosen_step=state.step if best.step is None else best.step,
        evaluations=tuple(best.evaluations),
        seconds=state.seconds,
        history=tuple(state.history),
        cut=record_cut(run.analysis.groups, masks, earlier),
        importances=run.masking.importances_by_group(),
        unprunable=run.analysis.unprunable,
        fingerprint=fingerprint,
    )

    def save() -> None:
        save_network(path, smaller, record.to_record())
        file.path.unlink(missing_ok=True)

    processes.from_first(save)
    return record


@dataclass(frozen=True)
class _Run:
    """A run that is set up: a copy of the network, its groups, and what masks it."""

    pipeline: Pipeline
    images: TrainingImages
    ranges: tuple[PerturbationRange, ...]
    options: FinetuneOptions
    analysis: GroupAnalysis
    masking: ProgressiveMasking
    share: BatchShare

    def best_network(self, evaluate: Evaluate | None) -> BestNetwork:
        """Return what keeps the best network of the run; it keeps none where the last one is the result."""
        options, masking = self.options.best, self.masking

        def judge() -> Evaluation:
            assert evaluate is not None
            judge_here = evaluate
            return self.share.processes.from_first(lambda: judge_here(self.cut_pipeline()))

        choosing = options.choice != Best.LAST
        due = evaluation_steps(masking.steps, masking.final_step, options.every) if choosing else ()
        return BestNetwork(self.pipeline.network, judge, due, options.patience)

    def plan(self, best: BestNetwork) -> TrainingPlan:
        options, groups, masking = self.options, self.analysis.groups, self.masking
        losses = options.losses
        limit = GradientLimit(losses.wasserstein_limit, self.share.processes)
        separation = Separation(
            tuple(group.channels for group in groups),
            masking.quantity.channel_share(options.ratio),
            losses.wasserstein_target,
            options.masks.floor,
        )
        steadied = losses.any_with(bool(groups))
        stability = StabilityLoss(
            self.pipeline, groups, self.ranges, losses, separation, options.seed, masking.steps, self.share, limit
        )

        def loss(batch: Batch, step: int) -> StepLoss:
            return stability(batch, step) if steadied else task_step_loss(self.pipeline, batch, self.share)

        def figures(batch: Batch, step_loss: StepLoss, step: int) -> dict[str, float]:
            return batch_figures(self.pipeline, batch, step_loss) | {"rho": masking.share}

        def restore(state: Mapping[str, Any]) -> None:
            masking.restore(state["masking"])
            best.restore(state["best"])
            limit.restore(state["limit"])

        return TrainingPlan(
            steps=masking.steps,
            batch=make_batches(self.images, options.optimiser.batch_size, options.seed, options.augment),
            loss=loss,
            figures=figures,
            before_step=masking.before_step,
            after_step=masking.masker.apply,
            after_whole_step=best.after_whole_step,
            ended=lambda: best.ended,
            state=lambda: {"masking": masking.state(), "best": best.state(), "limit": limit.state()},
            restore=restore,
            share=self.share,
            seed=options.seed,
        )

    def cut_pipeline(self) -> Pipeline:
        """Return the network without what is masked."""
        example = self.images.take(torch.arange(min(2, len(self.images)))).images
        normalised = (example - self.pipeline.mean) / self.pipeline.std
        masks = self.masking.masker.masks
        smaller = Pipeline(
            cut(self.pipeline.network, self.analysis.groups, masks, normalised),
            self.pipeline.preprocessing,
            self.pipeline.task,
        )
        return smaller.to(self.pipeline.mean.device).to(memory_format=torch.contiguous_format).eval()


def _prepare(
    pipeline: Pipeline,
    data: ImageData,
    ranges: tuple[PerturbationRange, ...],
    options: FinetuneOptions,
    processes: Processes,
    progress: ProgressCallback,
) -> _Run:
    """Check what can be known of a run, then read its images."""
    trained = _copy_captured(pipeline)
    for parameter in trained.parameters():
        parameter.requires_grad_(True)
    example = trained.mean.new_zeros(2, *trained.preprocessing.input_shape)
    analysis = analyse_groups(trained.network, example, options.masks.exclude)
    criterion = make_criterion(options.criterion)
    if criterion is not None and options.ratio > 0 and not analysis.groups:
        reasons = "; ".join(f"{group.name}: {group.reason}" for group in analysis.unprunable) or "no layers were found"
        raise UnsupportedOperationError(
            f"network: expected at least one group of channels that can be cut, got none ({reasons})",
            [group.name for group in analysis.unprunable],
        )

    def context(step: int) -> ScoringContext:
        return ScoringContext(trained, analysis.groups, images, ranges, options.masks, options.seed, step)

    def score(step: int) -> tuple[Tensor, ...]:
        assert criterion is not None
        scores = criterion(context(step))
        processes.agree(scores)  # else a GPU that rounds otherwise could cut other channels
        return scores

    quantity = make_quantity(options.target, trained, analysis.groups, context)
    require_reachable(options, quantity)
    images = read_training_images(data, pipeline.mean.device, progress)
    share = BatchShare(min(options.optimiser.batch_size, len(images)), processes)
    masking = ProgressiveMasking(
        ChannelMasker(trained.network, analysis.groups),
        score if criterion is not None else None,
        quantity,
        options.ratio,
        options.optimiser.total_steps(len(images)),
        options.masks,
    )
    return _Run(trained, images, ranges, options, analysis, masking, share)


def _copy_captured(pipeline: Pipeline) -> Pipeline:
    """Return a copy to train, in the form that can be saved."""
    if isinstance(pipeline.network, fx.GraphModule):
        return copy.deepcopy(pipeline)
    example = pipeline.mean.new_zeros(2, *pipeline.preprocessing.input_shape)
    captured = Pipeline(capture(pipeline.network, example), pipeline.preprocessing, pipeline.task)
    return captured.to(pipeline.mean.device).eval()


def _require_labels(pipeline: Pipeline, data: ImageData, what: str) -> None:
    if not data.labelled:
        raise InputError(
            f"{what} data: expected labelled images, got images without labels; name the COCO JSON instead of the "
            "folder, or give --annotations"
        )
    require_matching_labels(pipeline, data)


def _fingerprint(
    pipeline: Pipeline, data: Sequence[ImageData], ranges: Sequence[PerturbationRange], options: FinetuneOptions
) -> str:
    """Return what the result depends on: not how often progress is written."""
    settings: dict[str, Any] = options.to_record()
    del settings["checkpoint"]
    settings["ranges"] = [repr(part) for part in ranges]
    return fingerprint_of(pipeline, data, settings)


def _finished(path: Path, fingerprint: str) -> FinetuneRecord:
    record: Mapping[str, Any] = load_network(path).record
    if record.get("fingerprint") != fingerprint:
        raise ConfigurationError(other_run_message(path.parent))
    return FinetuneRecord.from_record(record, path)


def _error(pipeline: Pipeline, validation: ImageData | None) -> float | None:
    return None if validation is None else error_on_data(pipeline, validation)


__all__ = ["PROGRESS_FILE", "RESULT_FILE", "CutGroup", "FinetuneOptions", "FinetuneRecord", "finetune_prune"]
