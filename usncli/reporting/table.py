"""One table of plain values, shown alike in a terminal, a page, Markdown and JSON."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

Cell = str | int | float | bool | None
"""A value as it is; formatting is the column's business."""

NOTHING = "-"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: heading.
        format: a format specification for its numbers, such as ``.2f``, ``.1%`` or ``,``; columns that have one are
            aligned to the right.
    """

    title: str
    format: str = ""

    @property
    def numeric(self) -> bool:
        """Whether the column is aligned to the right."""
        return bool(self.format)

    def text(self, cell: Cell) -> str:
        """Return a cell as people read it, printable characters only; ``-`` for what is absent or not a number."""
        if cell is None or (isinstance(cell, float) and math.isnan(cell)):
            return NOTHING
        if isinstance(cell, bool):
            return "yes" if cell else "no"
        return printable(cell) if isinstance(cell, str) else format(cell, self.format)


@dataclass(frozen=True)
class Table:
    """A titled table.

    Attributes:
        title: what it shows, in a few words.
        columns: headings and formats.
        rows: one cell a column.
        note: what a reader must know to read it right; one or two sentences.

    Raises:
        ValueError: a row has another number of cells than there are columns.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.title!r}: expected {len(self.columns)} cells a row, got {len(row)}")

    def texts(self) -> tuple[tuple[str, ...], ...]:
        """Return the rows as people read them."""
        return tuple(
            tuple(column.text(cell) for column, cell in zip(self.columns, row, strict=True)) for row in self.rows
        )

    def __rich__(self) -> Group:
        """Return the table for a terminal, an empty line after it; text columns fold where the terminal is narrow."""
        shown = RichTable(
            title=Text(self.title, style="bold"),
            title_justify="left",
            box=box.SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            padding=(0, 1, 0, 0),
        )
        for column in self.columns:
            shown.add_column(
                Text(column.title),
                justify="right" if column.numeric else "left",
                overflow="fold",
                no_wrap=column.numeric,
            )
        for row in self.texts():
            shown.add_row(*(Text(cell) for cell in row))
        return Group(shown, *([Text(self.note, style="dim")] if self.note else []), "")

    def to_markdown(self) -> str:
        """Return a GitHub-flavoured Markdown table under a bold title; what could be markup is escaped."""
        heads = [escape_markdown(column.title) for column in self.columns]
        rules = ["---:" if column.numeric else "---" for column in self.columns]
        body = [[escape_markdown(cell) for cell in row] for row in self.texts()]
        lines = [f"| {' | '.join(cells)} |" for cells in (heads, rules, *body)]
        note = f"\n\n{escape_markdown(self.note)}" if self.note else ""
        return f"**{escape_markdown(self.title)}**\n\n" + "\n".join(lines) + note + "\n"

    def to_record(self) -> dict[str, Any]:
        """Return plain JSON values: unformatted cells, with null for what is not finite."""
        rows = [
            [None if isinstance(cell, float) and not math.isfinite(cell) else cell for cell in row] for row in self.rows
        ]
        return {
            "title": self.title,
            "columns": [column.title for column in self.columns],
            "rows": rows,
            "note": self.note,
        }


def table(title: str, columns: Sequence[Column | str], rows: Sequence[Sequence[Cell]], note: str = "") -> Table:
    """Make a table; a column without a format may be given by its title alone."""
    named = tuple(column if isinstance(column, Column) else Column(column) for column in columns)
    return Table(title, named, tuple(tuple(row) for row in rows), note)


def printable(text: str) -> str:
    """Return the text with control characters written as escapes, so that no name can steer a terminal."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def escape_markdown(text: str) -> str:
    """Return text whose every character shows as it stands in GitHub-flavoured Markdown, inside a table too."""
    return re.sub(r"([\\`*_\[\]|~#])", r"\\\1", html.escape(printable(text), quote=False))
