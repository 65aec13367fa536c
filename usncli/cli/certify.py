"""``usn certify``: a verdict per image and perturbation, the certified rate, and the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usncli.cli.execution import Command
from usncli.cli.exit_codes import ExitCode
from usncli.cli.invocation import Invocation
from usncli.cli.results import show_results
from usncli.cli.running import stored_or_computed
from usncli.settings import CertifySettings

if TYPE_CHECKING:
    pass


def run(invocation: Invocation[CertifySettings]) -> ExitCode:
    """Certify, print rates and verdicts, and close the gate unless it passes."""
    stored = stored_or_computed(invocation, lambda workspace: compute(invocation, workspace))
    show_results(stored, invocation.settings.format, invocation.consoles)
    return ExitCode.DONE


COMMAND = Command(CertifySettings, run)
