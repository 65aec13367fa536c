"""A result as Markdown: headline, tables, command line; and Markdown cut to size."""

from __future__ import annotations

import shlex
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.kinds import view_of
from usncli.reporting.table import escape_markdown

NOTE_BYTES = 200
"""Room for what is said where Markdown is cut."""


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


def fit(text: str, room: int) -> str:
    """Cut Markdown to some bytes of UTF-8, at the end of a line, and say how many rows of tables are missing.

    Args:
        text: lines of text and tables; a ``<details>`` that is cut is closed.
        room: bytes. Where there is no room for any of it the result is empty.
    """
    if len(text.encode()) <= room:
        return text
    lines = text.split("\n")
    ends = list(accumulate(len(line.encode()) + 1 for line in lines))
    kept = bisect_right(ends, room - NOTE_BYTES)
    if not kept:
        return ""
    shown = "\n".join(lines[:kept])
    note = f"{table_rows(lines[kept:]):,} more rows of tables are left out: there is no room for them here."
    closing = "\n</details>\n" if shown.count("<details>") > shown.count("</details>") else ""
    return f"{shown}\n\n{note}\n{closing}"


def table_rows(lines: Sequence[str]) -> int:
    """Count the rows of tables among lines of Markdown, without their headings."""
    rules = sum(line.startswith("|") and set(line) <= set("|-: ") for line in lines)
    return max(0, sum(line.startswith("|") for line in lines) - 2 * rules)
