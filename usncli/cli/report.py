"""``usn report``: the HTML page of finished runs."""

from __future__ import annotations

from usncli.cli.execution import Command
from usncli.cli.exit_codes import ExitCode
from usncli.cli.invocation import Invocation
from usncli.settings import ReportSettings


def run(invocation: Invocation[ReportSettings]) -> ExitCode:
    """Write the page of some finished runs and print where it is."""
    from usncli.reporting.page import PAGE_NAME, report_runs

    folders = invocation.settings.runs
    page = report_runs(folders, invocation.settings.page or folders[0] / PAGE_NAME)
    invocation.consoles.line(f"report: {page}")
    return ExitCode.DONE


COMMAND = Command(ReportSettings, run)
