"""``usn demo``: the whole chain on embedded data, without arguments."""

from __future__ import annotations

from collections.abc import Sequence

from usncli.cli.execution import Command
from usncli.cli.exit_codes import ExitCode
from usncli.cli.invocation import Invocation
from usncli.cli.progress_bars import progress_bars
from usncli.cli.signals import interruptible
from usncli.settings import DemoSettings


def run(invocation: Invocation[DemoSettings]) -> ExitCode:
    """Run the demo in its folder, print its table and where its page and its ONNX file are."""
    from usncli.cli.main import main
    from usncli.demo.run import run_demo

    settings, consoles = invocation.settings, invocation.consoles

    def usn(words: Sequence[str]) -> int:
        return main([*words, "--quiet"] if consoles.quiet else words)

    with interruptible(), progress_bars(consoles) as progress:
        result = run_demo(settings.out, settings.seed, settings.device, usn, consoles.say, progress)
    consoles.show(result.table)
    consoles.line(f"report: {result.page}")
    consoles.line(f"ONNX:   {result.onnx}")
    return ExitCode.DONE


COMMAND = Command(DemoSettings, run)
