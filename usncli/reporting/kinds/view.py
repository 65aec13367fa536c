"""What a kind of record must be able to say of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from usncli.reporting.document import Headline, KeyFigure, Section
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.table import Table

Record = Mapping[str, Any]


class KindView(NamedTuple):
    """How a kind of record is shown.

    Attributes:
        tables: for the terminal and Markdown; they fit 80 columns.
        headline: what came out, in a sentence.
        key_figures: numbers for the top of a page.
        section: everything, with figures and pictures.
    """

    tables: Callable[[Record], tuple[Table, ...]]
    headline: Callable[[FinishedRun], Headline]
    key_figures: Callable[[Record], tuple[KeyFigure, ...]]
    section: Callable[[FinishedRun], Section]
