"""``usn finetune-prune``: progressive pruning with fine-tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usncli.cli.execution import Command
from usncli.cli.exit_codes import ExitCode
from usncli.cli.inputs import open_images, open_network, ranges_of
from usncli.cli.invocation import Invocation
from usncli.cli.results import show_results
from usncli.cli.running import Result, Workspace
from usncli.cli.together import finished_together
from usncli.settings import FinetunePruneSettings

if TYPE_CHECKING:
    from usncli.pruning.options import FinetuneOptions
    from usncli.pruning.processes import Processes


def run(invocation: Invocation[FinetunePruneSettings]) -> ExitCode:
    """Fine-tune and prune; the first process prints what became of the network and where it is."""
    folder = finished_together(invocation, compute)
    if folder is not None:
        show_results(folder, invocation)
    return ExitCode.DONE


def options_of(settings: FinetunePruneSettings) -> FinetuneOptions:
    """Return the stage's options.

    Raises:
        ConfigurationError: one is out of range.
    """
    from usncli.pruning.options import (
        AugmentOptions,
        Best,
        BestOptions,
        CheckpointOptions,
        Criterion,
        FinetuneOptions,
        LossOptions,
        MaskOptions,
        Optimiser,
        OptimiserOptions,
        Precision,
        Schedule,
        Target,
        WassersteinTarget,
    )

    return FinetuneOptions(
        ratio=settings.ratio,
        target=Target(settings.target),
        criterion=Criterion(settings.criterion),
        optimiser=OptimiserOptions(
            epochs=settings.epochs,
            steps=settings.steps,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            optimiser=Optimiser(settings.optimiser),
            precision=Precision(settings.training_precision),
        ),
        losses=LossOptions(
            unbiased_weight=settings.lambda_unbiased,
            smooth_weight=settings.lambda_smooth,
            wasserstein_weight=settings.lambda_wasserstein,
            consistency_weight=settings.lambda_consistency,
            perturbed_weight=settings.lambda_perturbed,
            wasserstein_target=WassersteinTarget(settings.wasserstein_target),
            wasserstein_limit=settings.wasserstein_limit,
            samples=settings.loss_samples,
            ramps=settings.loss_ramp,
        ),
        masks=MaskOptions(
            ramp=settings.ramp,
            schedule=Schedule(settings.schedule),
            rescore=settings.rescore,
            floor=settings.floor,
            exclude=settings.exclude,
            scoring_images=settings.scoring_images,
            scoring_samples=settings.scoring_samples,
            score_momentum=settings.score_momentum,
        ),
        best=BestOptions(
            choice=Best(settings.best),
            every=settings.evaluate_every,
            patience=settings.patience,
            images=settings.evaluate_images,
            seconds=settings.evaluate_seconds,
            tau=settings.evaluate_tau,
        ),
        augment=AugmentOptions(rotation=settings.rotation, scale=settings.scale, shift=settings.shift),
        checkpoint=CheckpointOptions(
            seconds=settings.checkpoint_seconds, steps=settings.checkpoint_steps, tensorboard=settings.tensorboard
        ),
        seed=settings.seed,
    )


def compute(
    invocation: Invocation[FinetunePruneSettings], workspace: Workspace, processes: Processes | None = None
) -> Result:
    """Load, fine-tune and prune; a network that was cut before keeps its first numbering in the record."""
    from usncli.certifying.evaluation import make_evaluate
    from usncli.pruning.finetune import finetune_prune
    from usncli.pruning.record import CutGroup

    settings = invocation.settings
    options, ranges = options_of(settings), ranges_of(settings)
    loaded = open_network(invocation, workspace.device)
    validation = open_images(settings.validation, invocation, loaded) if settings.validation else None
    record = finetune_prune(
        loaded.pipeline,
        open_images(settings.data, invocation, loaded),
        ranges,
        options,
        workspace.folder,
        validation=validation,
        evaluate=make_evaluate(loaded.pipeline, validation, ranges, options.best),
        earlier=[CutGroup.from_record(group) for group in loaded.record.get("cut", ())],
        processes=processes,
        progress=workspace.progress,
    )
    return Result(record.to_record(), (record.path,))


COMMAND = Command(FinetunePruneSettings, run)
