"""Typer commands made from settings models, so that an option is stated once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from usncli.cli.execution import Command, execute
from usncli.cli.invocation import Shell
from usncli.settings import CommandSettings, NamedOption, named_options
from usncli.settings.option import bare_type, completions, metavar


def typer_function(command: Command[Any]) -> Callable[..., None]:
    """Return a function whose signature Typer reads as the command's options.

    Every option is None unless the command line gives it, so that the environment and usn.yaml can speak.
    """
    parameters = [
        inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
        *(_parameter(named) for named in _in_order_of_help(command.settings_type)),
        *_control_parameters(),
    ]

    def run(context: typer.Context, **values: Any) -> None:
        raise typer.Exit(execute(command, values, Shell(context.obj or ())))

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__name__ = command.settings_type.command.replace("-", "_")
    return run


def _parameter(named: NamedOption) -> inspect.Parameter:
    if named.option.positional:
        information: Any = typer.Argument(help=named.option.help, metavar=named.option.metavar, show_default=False)
    else:
        information = typer.Option(
            *_flags(named),
            help=named.option.help + _choices_text(named) + _default_text(named),
            metavar=" " if named.is_switch else metavar(named),
            show_default=False,
            rich_help_panel=named.group,
            autocompletion=_completion(named),
        )
    return _optional(named.name, list[str] if named.is_repeated else bool if named.is_switch else str, information)


def _completion(named: NamedOption) -> Callable[..., list[str]] | None:
    """Return what a shell asks for the values of an option; None where it should offer files."""
    words = completions(named)
    return (lambda: list(words)) if words else None


def _in_order_of_help(settings_type: type[CommandSettings]) -> list[NamedOption]:
    """Put a command's own options first, those of every command last."""
    groups = [
        settings_type.group,
        "Checkpoint",
        "Data",
        "Perturbation",
        "Certification",
        "Bounds",
        "Other verifiers",
        "Gate",
        "Run",
        "Output",
    ]
    return sorted(named_options(settings_type).values(), key=lambda named: groups.index(named.group))


def _control_parameters() -> list[inspect.Parameter]:
    config = typer.Option(
        "--config",
        help="Read this file, instead of the nearest usn.yaml from the working directory upward.",
        metavar="FILE",
        show_default=False,
        rich_help_panel="Output",
    )
    show = typer.Option(
        "--show-config",
        help="Print each setting with where it came from, and do nothing else.",
        show_default=False,
        rich_help_panel="Output",
    )
    return [_optional("config", Path, config), _optional("show_config", bool, show)]


def _optional(name: str, kind: Any, information: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=None,
        annotation=Annotated[kind | None, information],
    )


def _flags(named: NamedOption) -> list[str]:
    short = [named.option.short] if named.option.short else []
    return [f"{named.flag}/--no-{named.key}" if named.is_switch else named.flag, *short]


def _choices_text(named: NamedOption) -> str:
    """Name the choices, where the metavar is a word in their place."""
    kind = bare_type(named.field)
    listed = get_origin(kind) is Literal and named.option.metavar
    return f" One of {', '.join(get_args(kind))}." if listed else ""


def _default_text(named: NamedOption) -> str:
    default = named.default
    if named.is_switch:
        return f" (default: --{named.key})" if default else ""
    if isinstance(default, tuple):
        default = ",".join(str(item) for item in default)
    return f" (default: {default})" if default not in (None, "", {}) else ""
