"""``usn init``: a commented usn.yaml from a checkpoint and images."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from usncli.cli.console import Consoles
from usncli.cli.execution import Command
from usncli.cli.exit_codes import ExitCode
from usncli.cli.inputs import data_options_of, preprocessing_of, source_of
from usncli.cli.invocation import Invocation
from usncli.errors import ConfigurationError
from usncli.files import write_text_atomically
from usncli.settings import InitSettings
from usncli.settings.configuration_file import FILE_NAME
from usncli.settings.option import metavar, named_options

if TYPE_CHECKING:
    from usncli.drafting.entries import Draft

WIDE = 40
"""Characters of a value that the table shows."""


def run(invocation: Invocation[InitSettings]) -> ExitCode:
    """Write usn.yaml and its schema into the working directory, say what was found out and what to type next."""
    from usncli.drafting.draft import draft
    from usncli.drafting.text import SCHEMA_NAME, draft_text

    folder, settings = invocation.shell.directory, invocation.settings
    refuse_existing(folder / FILE_NAME, folder / SCHEMA_NAME)
    drafted = draft(invocation.resolved, source_of(settings), preprocessing_of(invocation), data_options_of(settings))
    write_schema(folder / SCHEMA_NAME)
    write_text_atomically(folder / FILE_NAME, draft_text(drafted))
    show(drafted, invocation)
    return ExitCode.DONE


def refuse_existing(configuration: Path, schema: Path) -> None:
    """Refuse to overwrite what is there; a schema that usn wrote may be replaced by its newer self.

    Raises:
        ConfigurationError: a usn.yaml, or another file where the schema goes.
    """
    if configuration.exists():
        raise ConfigurationError(f"{configuration}: exists, and is not overwritten; remove or rename it")
    if schema.exists() and not _is_schema(schema):
        raise ConfigurationError(f"{schema}: is not the schema that usn writes there; remove or rename it")


def write_schema(path: Path) -> None:
    """Write the schema of usn.yaml, for editors."""
    from usncli.settings.json_schema import SCHEMA_FILE

    write_text_atomically(path, SCHEMA_FILE.read_text(encoding="utf-8"))


def show(drafted: Draft, invocation: Invocation[InitSettings]) -> None:
    """Print what was found out, what is missing, and what to type next."""
    from usncli.drafting.text import yaml_text

    consoles = invocation.consoles
    table = Table(title=f"usn init {invocation.settings.checkpoint}", title_justify="left")
    for heading in ("setting", "value", "why"):
        table.add_column(heading, overflow="fold")
    for entry in drafted.findings:
        value = "FILL IN" if entry in drafted.missing else shorten(yaml_text(entry.value))
        table.add_row(*map(escape, (entry.key, value, entry.why)))
    consoles.show(table)
    for entry in drafted.unchecked:
        consoles.line(f"{FILE_NAME}, {entry.key}: {entry.why}")
    for remark in drafted.warnings:
        consoles.line(remark)
    consoles.line(f"written: {FILE_NAME}")
    show_next(drafted, invocation, consoles)


def shorten(text: str) -> str:
    """Return the beginning of a text that is too long for the table."""
    return text if len(text) <= WIDE else f"{text[:WIDE]}..."


def show_next(drafted: Draft, invocation: Invocation[InitSettings], consoles: Consoles) -> None:
    """Print the next command; where something is missing, what to fill in, and the command that would find out more."""
    if not drafted.missing:
        consoles.line("next: usn score")
        consoles.line("then: usn certify")
        return
    keys = [entry.key for entry in drafted.missing]
    consoles.line(f"next: fill in {', '.join(keys)} in {FILE_NAME}, then type: usn score")
    options = named_options(InitSettings)
    flags = [f"{options[key].flag} {metavar(options[key])}" for key in ("arch", "data") if key in keys]
    if flags:
        words = " ".join(["usn", shlex.join(invocation.shell.command_line), *flags])
        consoles.line(f"or:   rm {FILE_NAME} && {words}")


def _is_schema(path: Path) -> bool:
    from usncli.settings.json_schema import TITLE

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("title") == TITLE


COMMAND = Command(InitSettings, run)
