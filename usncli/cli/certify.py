"""``usn certify``: a verdict per image and perturbation, the certified rate, and the gate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from usncli.cli.console import Consoles
from usncli.cli.execution import Command
from usncli.cli.exit_codes import ExitCode
from usncli.cli.inputs import open_images, open_network, ranges_of
from usncli.cli.invocation import Invocation
from usncli.cli.results import show_results
from usncli.cli.running import Result, Workspace, stored_or_computed
from usncli.errors import NothingToCertifyError
from usncli.settings import CertifySettings

if TYPE_CHECKING:
    from usncli.certifying.options import CertifyOptions

JOURNAL_NAME = "journal.jsonl"
"""Finished queries in the run folder."""


def run(invocation: Invocation[CertifySettings]) -> ExitCode:
    """Certify, print rates and verdicts, and close the gate unless it passes."""
    settings = invocation.settings
    refuse_empty_folder(settings.data)
    stored = stored_or_computed(invocation, lambda workspace: compute(invocation, workspace))
    show_results(stored, settings.format, invocation.consoles)
    if settings.min_certified is None:
        return ExitCode.DONE
    return gate(stored.record, settings.min_certified, invocation.consoles)


def gate(record: dict[str, Any], min_certified: float, consoles: Consoles) -> ExitCode:
    """Judge a record, say how the gate stands, and return its exit code; only a gate that passes is 0."""
    from usncli.certifying.gate import GateResult, judge
    from usncli.certifying.records import CertificationRecord

    outcome = judge(CertificationRecord.from_record(record), min_certified)
    consoles.line(outcome.message)
    codes = {GateResult.PASSED: ExitCode.DONE, GateResult.INCONCLUSIVE: ExitCode.INCONCLUSIVE}
    return codes.get(outcome.result, ExitCode.GATE_FAILED)


def refuse_empty_folder(location: str) -> None:
    """Tell a folder without files from one whose files are wrong.

    Raises:
        NothingToCertifyError: the folder holds no file, at any depth; hidden files do not count.
    """
    folder = Path(location)
    if folder.is_dir() and not any(
        path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        for path in folder.rglob("*")
    ):
        raise NothingToCertifyError(f"data {location}: expected images, found an empty folder; nothing was certified")


def options_of(settings: CertifySettings) -> CertifyOptions:
    """Return the stage's options.

    Raises:
        ConfigurationError: one is out of range.
    """
    from usncli.certifying.bounds.method import Method
    from usncli.certifying.options import CertifyOptions, Reference

    return CertifyOptions(
        tau=settings.tau,
        reference=Reference(settings.reference),
        seconds=settings.seconds,
        pieces=settings.pieces,
        method=Method(settings.bound_method),
        dtype=settings.precision,
        batch=settings.piece_batch,
        unstable_images=settings.unstable_images,
    )


def compute(invocation: Invocation[CertifySettings], workspace: Workspace) -> Result:
    """Load and certify, going on after the last query in the journal."""
    from usncli.api import certify

    settings, consoles = invocation.settings, invocation.consoles
    options, ranges = options_of(settings), ranges_of(settings)
    loaded = open_network(settings, consoles, workspace.device)
    data = open_images(settings.data, settings, loaded, consoles)
    journal = workspace.folder / JOURNAL_NAME
    record = certify(loaded.pipeline, data, ranges, options, journal=journal, progress=workspace.progress)
    return Result(record.to_record())


COMMAND = Command(CertifySettings, run)
