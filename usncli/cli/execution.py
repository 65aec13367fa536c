"""Running one command: settings in, exit code out, every error answered in one line."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic

from usncli.cli.console import Consoles
from usncli.cli.exit_codes import ExitCode, exit_code_of
from usncli.cli.invocation import Invocation, Shell
from usncli.cli.missing_inputs import refuse_missing_inputs
from usncli.cli.show_config import show_config
from usncli.settings import CommandSettings, Sources, resolve
from usncli.settings.commands import CommandType


@dataclass(frozen=True)
class Command(Generic[CommandType]):
    """A command of ``usn``.

    Attributes:
        settings_type: its settings, from which its options are made.
        run: does it.
        needs_inputs: whether it is refused at once where a file or folder that it names is not there.
    """

    settings_type: type[CommandType]
    run: Callable[[Invocation[CommandType]], ExitCode]
    needs_inputs: bool = True


def execute(command: Command[Any], values: Mapping[str, Any], shell: Shell) -> ExitCode:
    """Run a command with what the command line gave, and return its exit code."""
    flags = {name: value for name, value in values.items() if name not in ("config", "show_config")}
    sources = Sources(flags, shell.environment, shell.directory, values.get("config"))
    consoles = Consoles(quiet=bool(values.get("quiet")), verbose=bool(values.get("verbose")))
    try:
        if values.get("show_config"):
            show_config(command.settings_type, sources, consoles)
            return ExitCode.DONE
        resolved = resolve(command.settings_type, sources)
        consoles = _consoles(resolved.settings)
        if command.needs_inputs:
            refuse_missing_inputs(resolved.settings)
        return command.run(Invocation(resolved, shell, consoles))
    except (Exception, KeyboardInterrupt) as error:  # the command line's edge: every error becomes a line and a code
        return answer(error, consoles)


def answer(error: BaseException, consoles: Consoles) -> ExitCode:
    """Print what went wrong in one line, with the traceback for those who asked for more; return the exit code."""
    code = exit_code_of(error)
    if consoles.verbose and not isinstance(error, KeyboardInterrupt):
        consoles.trace("".join(traceback.format_exception(error)).rstrip())
    if code == ExitCode.INTERNAL_ERROR:
        hint = "this is a mistake of usn's own" + ("" if consoles.verbose else "; run again with -v for the traceback")
        consoles.error(f"internal error: {type(error).__name__}: {error}; {hint}")
    elif code == ExitCode.INTERRUPTED:
        consoles.error(str(error) or "interrupted; what was finished is saved, and the same command goes on from there")
    else:
        consoles.error(str(error))
    return code


def _consoles(settings: CommandSettings) -> Consoles:
    return Consoles(quiet=getattr(settings, "quiet", False), verbose=getattr(settings, "verbose", False))
