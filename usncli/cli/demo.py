"""``usn demo``: the whole chain on embedded data, without arguments."""

from __future__ import annotations

from usncli.cli.execution import Command
from usncli.cli.exit_codes import ExitCode
from usncli.cli.invocation import Invocation
from usncli.cli.progress_bars import progress_bars
from usncli.settings import DemoSettings


def run(invocation: Invocation[DemoSettings]) -> ExitCode:
    """Run the demo in its folder, print its tables and where its page is."""
    from usncli.demo import run_demo

    settings, consoles = invocation.settings, invocation.consoles
    with progress_bars(consoles) as progress:
        record = run_demo(settings.out, settings.seed, settings.device, progress)
    for table in record.tables:
        consoles.show(table)
    consoles.line(f"report: {record.page}")
    return ExitCode.DONE


COMMAND = Command(DemoSettings, run)
