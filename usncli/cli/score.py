"""``usn score``: instability and importance of every prunable channel group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usncli.cli.execution import Command
from usncli.cli.exit_codes import ExitCode
from usncli.cli.inputs import open_images, open_network, ranges_of
from usncli.cli.invocation import Invocation
from usncli.cli.results import show_results
from usncli.cli.running import Result, Workspace, finished_folder
from usncli.settings import ScoreSettings

if TYPE_CHECKING:
    from usncli.scoring.options import ScoreOptions


def run(invocation: Invocation[ScoreSettings]) -> ExitCode:
    """Score, print the groups and the set that the ratio would cut, and warn where that set is not stable yet."""
    folder = finished_folder(invocation, lambda workspace: compute(invocation, workspace))
    from usncli.reporting.kinds.score import warnings

    finished = show_results(folder, invocation)
    for line in warnings(finished.record):
        invocation.consoles.say(f"warning: {line}")
    return ExitCode.DONE


def options_of(settings: ScoreSettings) -> ScoreOptions:
    """Return the stage's options.

    Raises:
        ConfigurationError: one is out of range.
    """
    from usncli.scoring.options import ScoreOptions

    return ScoreOptions(
        samples=settings.samples,
        method=settings.method,
        unbiased_weight=settings.unbiased_weight,
        smooth_weight=settings.smooth_weight,
        batch_size=settings.batch_size,
        ratio=settings.ratio,
        floor=settings.floor,
        seed=settings.seed,
    )


def compute(invocation: Invocation[ScoreSettings], workspace: Workspace) -> Result:
    """Load and score, each range by itself."""
    from usncli.api import score
    from usncli.scoring.record import SCHEMA_VERSION

    settings = invocation.settings
    options, ranges = options_of(settings), ranges_of(settings)
    loaded = open_network(invocation, workspace.device)
    data = open_images(settings.data, invocation, loaded)
    records = score(loaded.pipeline, data, ranges, options, exclude=settings.exclude, progress=workspace.progress)
    return Result({"schema_version": SCHEMA_VERSION, "scores": [record.to_record() for record in records]})


COMMAND = Command(ScoreSettings, run)
