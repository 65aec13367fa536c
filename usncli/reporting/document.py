"""One self-contained HTML page: a headline first, then sections of text, tables, figures and command lines."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from markupsafe import Markup

from usncli.reporting.figure import Figure
from usncli.reporting.table import Table
from usncli.reporting.templating import fill


class Status(StrEnum):
    """How the headline is to be taken; shown as a word and a sign, not by colour alone."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    INFORMATION = "information"


@dataclass(frozen=True)
class Headline:
    """What a reader must know if they read nothing else.

    Attributes:
        text: one sentence.
        status: how it is to be taken.
        details: a few sentences more.
    """

    text: str
    status: Status = Status.INFORMATION
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class KeyFigure:
    """A number that stands out at the top of a page.

    Attributes:
        label: what it is.
        value: the number, with its unit or denominator.
        note: a few words below it.
    """

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        title: heading.
        text: paragraphs.
        tables: shown in full.
        figures: side by side where there is room.
        commands: lines to copy into a shell.
        folded: longer tables, shown when asked for.
        blocks: what has a form of its own, below the text.
    """

    title: str
    text: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    commands: tuple[str, ...] = ()
    folded: tuple[Table, ...] = ()
    blocks: tuple[Markup, ...] = ()


@dataclass(frozen=True)
class Page:
    """A whole page.

    Attributes:
        title: what it reports on.
        headline: the verdict.
        sections: in the order of reading.
        key_figures: a few numbers under the headline.
        subtitle: when and by what it was made.
    """

    title: str
    headline: Headline
    sections: tuple[Section, ...]
    key_figures: tuple[KeyFigure, ...] = ()
    subtitle: str = ""


def render(page: Page) -> str:
    """Return a page as HTML that loads nothing; every text in it is escaped."""
    return fill("page.html.j2", page=page)
