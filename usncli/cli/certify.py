"""``usn certify``: a verdict per image and perturbation, the certified rate, and the gate."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from usncli.cli.execution import Command
from usncli.cli.exit_codes import ExitCode
from usncli.cli.gating import questions_of
from usncli.cli.inputs import open_images, open_network, ranges_of
from usncli.cli.invocation import Invocation
from usncli.cli.results import show_results
from usncli.cli.running import Result, Workspace, finished_folder
from usncli.errors import InputError, NothingToCertifyError
from usncli.files import write_atomically
from usncli.runs import visible_files
from usncli.settings import CertifySettings
from usncli.settings.certification import CertificationSettings

if TYPE_CHECKING:
    from usncli.certifying.options import CertifyOptions
    from usncli.gating import Gate

JOURNAL_NAME = "journal.jsonl"
"""Finished queries in the run folder."""
CERTIFICATE_NAME = "certificate.jsonl"
"""The certificate in the run folder."""


def run(invocation: Invocation[CertifySettings]) -> ExitCode:
    """Certify, print rates and verdicts, and close the gate unless it passes."""
    settings = invocation.settings
    refuse_empty_folder(settings.data)
    asked = questions_of(settings)
    folder = finished_folder(invocation, lambda workspace: compute(invocation, workspace))
    gate = asked.judge(folder)
    show_results(folder, invocation)
    for line in gate.lines if gate else ():
        invocation.consoles.line(line)
    if settings.certificate is not None:
        _copy_certificate(folder, settings.certificate)
        invocation.consoles.say(f"certificate: {settings.certificate}")
    if settings.write_baseline is not None:
        asked.write_baseline(folder, settings.write_baseline)
        invocation.consoles.say(f"baseline: {settings.write_baseline}")
    return _exit_code(gate)


def _exit_code(gate: Gate | None) -> ExitCode:
    """Return 0 for a gate that passes and where there is none."""
    from usncli.gating import GateResult

    if gate is None or gate.result == GateResult.PASSED:
        return ExitCode.DONE
    return ExitCode.GATE_FAILED if gate.result == GateResult.FAILED else ExitCode.INCONCLUSIVE


def _copy_certificate(folder: Path, path: Path) -> None:
    """Copy a run's certificate.

    Raises:
        InputError: the run folder has none, or the file cannot be written.
    """
    kept = folder / CERTIFICATE_NAME

    def write(temporary: Path) -> None:
        shutil.copyfile(kept, temporary)

    if not kept.is_file():
        raise InputError(f"{folder}: expected {CERTIFICATE_NAME} in the run folder; remove the folder to run again")
    write_atomically(path, write)


def refuse_empty_folder(location: str) -> None:
    """Tell a folder without files from one whose files are wrong.

    Raises:
        NothingToCertifyError: the folder holds no file, at any depth; hidden files do not count.
    """
    folder = Path(location)
    if folder.is_dir() and not any(True for _ in visible_files(folder)):
        raise NothingToCertifyError(f"data {location}: expected images, found an empty folder; nothing was certified")


def options_of(settings: CertificationSettings) -> CertifyOptions:
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
    from usncli.reporting.counterexamples import keep_pictures

    settings = invocation.settings
    options, ranges = options_of(settings), ranges_of(settings)
    loaded = open_network(invocation, workspace.device)
    data = open_images(settings.data, invocation, loaded)
    journal = workspace.folder / JOURNAL_NAME
    kept = workspace.folder / CERTIFICATE_NAME
    record = certify(
        loaded.pipeline, data, ranges, options, journal=journal, certificate=kept, progress=workspace.progress
    )
    keep_pictures(workspace.folder, loaded.pipeline, data, ranges, record, options)
    return Result(record.to_record(), (kept,))


COMMAND = Command(CertifySettings, run)
