"""``usn certify``: a verdict per image and perturbation, the certified rate, and the gate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from usncli.cli.console import Consoles
from usncli.cli.execution import Command
from usncli.cli.exit_codes import ExitCode
from usncli.cli.inputs import open_images, open_network, ranges_of
from usncli.cli.invocation import Invocation
from usncli.cli.results import show_results
from usncli.cli.running import Result, Workspace, finished_folder
from usncli.errors import NothingToCertifyError
from usncli.runs import visible_files
from usncli.settings import CertifySettings

if TYPE_CHECKING:
    from usncli.certifying.options import CertifyOptions
    from usncli.reporting.finished_run import FinishedRun

JOURNAL_NAME = "journal.jsonl"
"""Finished queries in the run folder."""


def run(invocation: Invocation[CertifySettings]) -> ExitCode:
    """Certify, print rates and verdicts, and close the gate unless it passes."""
    settings = invocation.settings
    refuse_empty_folder(settings.data)
    folder = finished_folder(invocation, lambda workspace: compute(invocation, workspace))
    return gate(show_results(folder, invocation), invocation.consoles)


def gate(run: FinishedRun, consoles: Consoles) -> ExitCode:
    """Say how the gate stands for each perturbation, and return the exit code of the worst: one that fails is enough.

    Without a limit there is no gate, and the exit code is 0.
    """
    from usncli.certifying.gate import GateResult
    from usncli.reporting.kinds.certify import gate_outcomes

    outcomes = gate_outcomes(run)
    for label, outcome in outcomes.items():
        consoles.line(f"{label}: {outcome.message}")
    results = {outcome.result for outcome in outcomes.values()}
    if GateResult.FAILED in results:
        return ExitCode.GATE_FAILED
    return ExitCode.INCONCLUSIVE if results - {GateResult.PASSED} else ExitCode.DONE


def refuse_empty_folder(location: str) -> None:
    """Tell a folder without files from one whose files are wrong.

    Raises:
        NothingToCertifyError: the folder holds no file, at any depth; hidden files do not count.
    """
    folder = Path(location)
    if folder.is_dir() and not any(True for _ in visible_files(folder)):
        raise NothingToCertifyError(f"data {location}: expected images, found an empty folder; nothing was certified")


def options_of(settings: CertifySettings) -> CertifyOptions:
    """Return the stage's options.

    Raises:
        ConfigurationError: one is out of range.
    """
    from usncli.bounding.method import Arithmetic, Engine, Method
    from usncli.certifying.options import CertifyOptions, Reference

    return CertifyOptions(
        tau=settings.tau,
        reference=Reference(settings.reference),
        seconds=settings.seconds,
        pieces=settings.pieces,
        run_seconds=settings.run_seconds,
        engine=Engine(settings.engine),
        second_opinion=settings.second_opinion,
        arithmetic=Arithmetic(settings.arithmetic),
        max_range=settings.max_range,
        method=Method(settings.bound_method),
        dtype=settings.precision,
        memory=settings.memory,
        batch=settings.piece_batch,
        unstable_images=settings.unstable_images,
    )


def compute(invocation: Invocation[CertifySettings], workspace: Workspace) -> Result:
    """Load and certify, going on after the last query in the journal."""
    from usncli.api import certify
    from usncli.reporting.counterexamples import take_pictures
    from usncli.reporting.pictures import PICTURES_NAME, save_pictures

    settings = invocation.settings
    options, ranges = options_of(settings), ranges_of(settings)
    loaded = open_network(invocation, workspace.device)
    data = open_images(settings.data, invocation, loaded)
    journal = workspace.folder / JOURNAL_NAME
    record = certify(loaded.pipeline, data, ranges, options, journal=journal, progress=workspace.progress)
    save_pictures(workspace.folder / PICTURES_NAME, take_pictures(loaded.pipeline, data, ranges, record, options))
    return Result(record.to_record())


COMMAND = Command(CertifySettings, run)
