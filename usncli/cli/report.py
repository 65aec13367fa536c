"""``usn report``: the HTML page of finished runs."""

from __future__ import annotations

from usncli.cli.execution import Command
from usncli.cli.exit_codes import ExitCode
from usncli.cli.invocation import Invocation
from usncli.runs.folder import read_record
from usncli.settings import ReportSettings


def run(invocation: Invocation[ReportSettings]) -> ExitCode:
    """Write the page of some finished runs and print where it is."""
    from usncli.reporting.page import write_page

    settings = invocation.settings
    records = [read_record(folder) for folder in settings.runs]
    path = settings.page or settings.runs[0] / "report.html"
    write_page(path, records)
    invocation.consoles.line(f"report: {path}")
    return ExitCode.DONE


COMMAND = Command(ReportSettings, run)
