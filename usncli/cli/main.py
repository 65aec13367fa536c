"""The entry point of ``usn``."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer
from typer.main import get_command

from usncli.cli import help_texts
from usncli.cli.signals import terminate_as_interrupt


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``usn`` and return its exit code.

    Args:
        argv: the words after ``usn``; by default those of this process.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    command = get_command(make_app(_named_commands(words)))
    try:
        with terminate_as_interrupt():
            code = command.main(args=words, prog_name="usn", standalone_mode=False, obj=tuple(words))
    except typer.TyperException as error:
        return _refuse(error)
    return int(code or 0)


def make_app(named: Sequence[str]) -> typer.Typer:
    """Return the Typer application with all commands; the options of only some, since making them costs time.

    Args:
        named: the commands whose options are made.
    """
    app = typer.Typer(name="usn", help=help_texts.ROOT, context_settings={"help_option_names": ["-h", "--help"]})
    app.callback(invoke_without_command=True)(_root)
    for name, text in help_texts.COMMANDS.items():
        app.command(name, help=text)(_load(name) if name in named else _without_options)
    return app


def _named_commands(words: Sequence[str]) -> list[str]:
    """Return the command that a command line names; all of them where the shell asks for completions."""
    if "_USN_COMPLETE" in os.environ:
        return list(help_texts.COMMANDS)
    return [word for word in words if not word.startswith("-")][:1]


def _load(name: str) -> Callable[..., None]:
    from usncli.cli.options import typer_function

    module = importlib.import_module(f"usncli.cli.{name.replace('-', '_')}")
    return typer_function(module.COMMAND)


def _without_options() -> None:
    """Stand in for a command that is only listed."""


def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", metavar=" ")] = False,
) -> None:
    if version:
        from usncli.runs.versions import package_version

        print(f"usn {package_version('usncli')}")
    elif context.invoked_subcommand is None:
        print(context.get_help(), end="")  # with rich, Typer prints it itself and returns nothing


def _refuse(error: typer.TyperException) -> int:
    from usncli.cli.console import Consoles
    from usncli.cli.exit_codes import ExitCode

    context = getattr(error, "ctx", None)
    hint = f" ('{context.command_path} --help' shows the usage)" if context is not None else ""
    Consoles().error(error.format_message().strip().rstrip(".") + hint)
    return ExitCode.USAGE
