"""A result as Markdown: headline, tables, command line."""

from __future__ import annotations

import shlex

from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.kinds import view_of
from usncli.reporting.table import escape_markdown


def to_markdown(run: FinishedRun) -> str:
    """Return GitHub-flavoured Markdown; whatever could be markup in a name is escaped."""
    view = view_of(run.kind)
    said = view.headline(run)
    status = "" if said.status == "information" else f"{said.status.value.upper()}: "
    parts = [f"## usn {run.kind}: {escape_markdown(run.name)}", f"**{status}{escape_markdown(said.text)}**"]
    parts += [escape_markdown(line) for line in said.details]
    parts += [shown.to_markdown().strip() for shown in view.tables(run.record)]
    if run.manifest:
        parts.append(f"    {escape_command(run.manifest['command_line'])}")
    return "\n\n".join(parts) + "\n"


def escape_command(words: list[str]) -> str:
    """Return a command line on one line, as a shell takes it."""
    return shlex.join(words).replace("\n", " ")
