"""The Typer application: which commands there are, their help, and words that are wrong."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from typing import Annotated

import typer
from typer.main import get_command

from usncli.cli import help_texts
from usncli.cli.help_format import PlainCommand

COMPLETION_WORDS = ("COMP_WORDS", "_TYPER_COMPLETE_ARGS")
"""Variables by which a shell hands over the line that is to be completed."""


def run_words(words: list[str]) -> int:
    """Run ``usn`` with these words and return its exit code."""
    command = get_command(make_app(_named_commands(words)))
    try:
        code = command.main(args=words, prog_name="usn", standalone_mode=False, obj=tuple(words))
    except typer.TyperException as error:
        return _refuse(error)
    return int(code or 0)


def make_app(named: Sequence[str]) -> typer.Typer:
    """Return the Typer application with all commands; the options of only some, since making them costs time.

    Its help is plain text: rich's boxes would take longer to load than all else that help needs.

    Args:
        named: the commands whose options are made.
    """
    app = typer.Typer(
        name="usn",
        help=help_texts.ROOT,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    )
    app.callback(invoke_without_command=True)(_root)
    for name, text in help_texts.COMMANDS.items():
        summary = text.partition("\n")[0]
        function = _load(name) if name in named else _without_options
        app.command(name, cls=PlainCommand, help=text, short_help=summary)(function)
    return app


def _named_commands(words: Sequence[str]) -> list[str]:
    """Return the command that a command line names; where the shell asks for completions, that of its line."""
    if "_USN_COMPLETE" in os.environ:
        words = " ".join(os.environ.get(name, "") for name in COMPLETION_WORDS).split()[1:]
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
        print(context.get_help())


def _refuse(error: typer.TyperException) -> int:
    from usncli.cli.console import Consoles
    from usncli.cli.exit_codes import ExitCode

    context = getattr(error, "ctx", None)
    hint = f" ('{context.command_path} --help' shows the usage)" if context is not None else ""
    Consoles().error(error.format_message().strip().rstrip(".") + hint)
    return ExitCode.USAGE
