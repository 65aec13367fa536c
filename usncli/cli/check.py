"""``usn check``: a certificate, proved anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from usncli.cli.execution import Command
from usncli.cli.exit_codes import ExitCode
from usncli.cli.inputs import open_images, open_network, ranges_of
from usncli.cli.invocation import Invocation
from usncli.cli.progress_bars import progress_bars
from usncli.errors import ConfigurationError
from usncli.files import write_json_atomically
from usncli.settings import CheckSettings

if TYPE_CHECKING:
    from usncli.certificates.check import CheckOptions
    from usncli.certificates.record import CheckRecord

MOST_LINES = 20
"""Proofs that are not confirmed and are listed."""


def run(invocation: Invocation[CheckSettings]) -> ExitCode:
    """Check, print what was found by verdict, and name what is not confirmed."""
    record, settings = _checked(invocation), invocation.settings
    _show(record, invocation)
    if settings.record is not None:
        write_json_atomically(settings.record, record.to_record())
        invocation.consoles.say(f"record: {settings.record}")
    if record.refused:
        return ExitCode.GATE_FAILED
    return ExitCode.DONE if record.confirmed else ExitCode.INCONCLUSIVE


def options_of(settings: CheckSettings) -> CheckOptions:
    """Return the stage's options."""
    from usncli.bounding.method import Engine, Method
    from usncli.certificates.check import CheckOptions

    return CheckOptions(
        engine=Engine(settings.engine),
        method=Method(settings.bound_method),
        dtype=settings.precision,
        memory=settings.memory,
    )


def _checked(invocation: Invocation[CheckSettings]) -> CheckRecord:
    from usncli.api import check
    from usncli.certificates.agreement import Expectations
    from usncli.devices import choose_device
    from usncli.exporting.replay import replay
    from usncli.loading.checkpoints.kinds import CheckpointKind

    settings = invocation.settings
    expected = Expectations(settings.tau, settings.reference, ranges_of(settings) or None)
    loaded = open_network(invocation, str(choose_device(settings.device)))
    is_onnx = loaded.kind == CheckpointKind.ONNX
    if settings.samples and not is_onnx:
        raise ConfigurationError(
            f"samples: expected an ONNX file to run, got {settings.checkpoint}; give it as --model"
        )
    data = open_images(settings.data, invocation, loaded)
    with progress_bars(invocation.consoles) as progress:
        record = check(
            settings.certificate,
            loaded.pipeline,
            data,
            options_of(settings),
            expected,
            onnx_sha256=loaded.sha256 if is_onnx else None,
            progress=progress,
        )
        if settings.samples:
            record = replay(record, settings.checkpoint, loaded.pipeline, data, settings.samples, progress=progress)
        return record


def _show(record: CheckRecord, invocation: Invocation[CheckSettings]) -> None:
    from usncli.certificates.record import Outcome

    consoles = invocation.consoles
    table = Table("verdict", title=f"certificate {record.sha256[:16]}", title_justify="left")
    for outcome in Outcome:
        table.add_column(outcome.value, justify="right")
    for verdict in dict.fromkeys(finding.verdict for finding in record.findings):
        own = [finding.outcome for finding in record.findings if finding.verdict == verdict]
        table.add_row(verdict, *[str(own.count(outcome)) for outcome in Outcome])
    consoles.show(table)
    wanting = [finding for finding in record.findings if finding.outcome in (Outcome.REFUSED, Outcome.UNCONFIRMED)]
    for finding in wanting[:MOST_LINES]:
        consoles.line(f"{finding.outcome}: {finding.image}, {finding.perturbation}: {finding.reason}")
    if len(wanting) > MOST_LINES:
        consoles.line(f"... and {len(wanting) - MOST_LINES} more")
    what = "confirmed" if record.confirmed else "REFUSED" if record.refused else "not confirmed"
    bound = ", for the ONNX file that it is bound to" if record.bound_to else ""
    consoles.line(f"{what}{bound}: {record.pieces} pieces in {record.seconds:.1f} s, engine {record.engine or 'none'}")
    if record.replayed:
        consoles.line(f"in onnxruntime: {record.replayed:,} perturbed images of the file")
    consoles.line(record.claim)
    if "lirpa" in record.engine:
        consoles.line("auto_LiRPA took part: there rounding is covered by a slack, not by proof")


COMMAND = Command(CheckSettings, run)
