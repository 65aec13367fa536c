"""One page a command, made from the settings models, the help texts and the exit codes: it cannot drift from them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from itertools import groupby
from typing import Literal, get_args, get_origin

from usncli.cli import help_texts
from usncli.cli.exit_codes import MEANINGS
from usncli.cli.show_config import value_text
from usncli.settings import COMMANDS, NamedOption, named_options
from usncli.settings.environment import CONFIG_VARIABLE
from usncli.settings.messages import expectation
from usncli.settings.option import bare_type, metavar

HEADER = "| flag, key, variable | value | default | what it does |\n|---|---|---|---|"

FURTHER_READING = {
    "init": "[Configuration](../configuration.md#a-first-file)",
    "doctor": "[Before it starts](../certification.md#before-it-starts)",
    "score": "[The method](../method.md#instability-and-importance), [sample size](../sample-size.md)",
    "finetune-prune": "[The method](../method.md#training-and-cutting), [training](../training.md)",
    "export": "[Exporting](../export.md)",
    "certify": "[Certification](../certification.md), [in CI](../ci.md)",
}
"""Where more is said of a command."""


def command_names() -> list[str]:
    """Return the commands in the order of ``usn --help``."""
    return list(help_texts.COMMANDS)


def command_page(command: str) -> str:
    """Return the page of a command, as Markdown in the folder ``commands``."""
    text = inspect.cleandoc(help_texts.COMMANDS[command])
    description, _, example = text.partition("Example: ")
    parts = [f"# usn {command}", description.strip(), f"```sh\n{example.strip()}\n```"]
    if command in FURTHER_READING:
        parts.append(f"Read on: {FURTHER_READING[command]}.")
    parts += ["## Options", *_option_tables(command), "## Exit codes", _exit_codes()]
    return "\n\n".join(parts) + "\n"


def _option_tables(command: str) -> Iterator[str]:
    """Yield a table a group of options, the command's own group first."""
    model = COMMANDS[command]
    options = sorted(named_options(model).values(), key=lambda named: named.group != model.group)
    groups = list(dict.fromkeys(named.group for named in options))
    options.sort(key=lambda named: groups.index(named.group))
    for group, members in groupby(options, key=lambda named: named.group):
        yield f"### {group}"
        yield "\n".join([HEADER, *(_row(named) for named in members)])
    yield "### Settings themselves"
    yield "\n".join([HEADER, *_CONTROL_ROWS])


def _row(named: NamedOption) -> str:
    flag = f"{named.flag}, {named.option.short}" if named.option.short else named.flag
    names = f"`{flag}`<br>`{named.key}:`<br>`{named.variable}`"
    return f"| {names} | {_cell(_value(named))} | {_default(named)} | {_cell(named.option.help)} |"


def _value(named: NamedOption) -> str:
    """Say which values an option takes."""
    kind = bare_type(named.field)
    if named.is_switch:
        return f"on, or off: --no-{named.key}"
    if get_origin(kind) is Literal:
        return ", ".join(get_args(kind))
    if named.option.expected:
        words = f"{metavar(named)}: {named.option.expected}"
    elif kind in (int, float):
        words = expectation(named.field)
    else:
        words = metavar(named)
    return f"{words}; repeats" if named.is_repeated else words


def _default(named: NamedOption) -> str:
    if named.field.is_required():
        return "required"
    if named.is_switch:
        return "on" if named.default else "off"
    text = value_text(named.default)
    return "none" if text == "-" else f"`{text}`"


def _exit_codes() -> str:
    rows = [f"| {int(code)} | {_cell(meaning)} |" for code, meaning in MEANINGS.items()]
    return "\n".join(["| code | meaning |", "|---:|---|", *rows])


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("<", "&lt;").replace(">", "&gt;").replace("*", r"\*")


_CONTROL_ROWS = (
    f"| `--config`<br>`{CONFIG_VARIABLE}` | FILE | the nearest usn.yaml | Read this file instead. |",
    "| `--show-config` | on | off | Print each setting with where it came from, and do nothing else. |",
)
