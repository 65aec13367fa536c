"""Records that hold one result a perturbation, shown one after the other."""

from __future__ import annotations

import dataclasses
from typing import Any

from usncli.reporting.document import Headline, KeyFigure, Section
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.kinds.view import KindView, Record
from usncli.reporting.table import Table


def several(view: KindView, key: str) -> KindView:
    """Return a view of records that may hold several results under a key; a record without the key is one result.

    Args:
        view: of one result.
        key: where the list of results lies.
    """

    def parts(record: Record) -> list[dict[str, Any]]:
        return [{"kind": record["kind"], **part} for part in record.get(key, [record])]

    def runs(run: FinishedRun) -> list[FinishedRun]:
        return [dataclasses.replace(run, record=part) for part in parts(run.record)]

    def tables(record: Record) -> tuple[Table, ...]:
        return tuple(table for part in parts(record) for table in view.tables(part))

    def headline(run: FinishedRun) -> Headline:
        said = [view.headline(part) for part in runs(run)]
        details = tuple(line for each in said for line in each.details)
        return Headline(" ".join(each.text for each in said), said[0].status, details)

    def key_figures(record: Record) -> tuple[KeyFigure, ...]:
        return view.key_figures(parts(record)[0])

    def section(run: FinishedRun) -> Section:
        sections = [view.section(part) for part in runs(run)]
        return Section(
            sections[0].title,
            tuple(dict.fromkeys(text for each in sections for text in each.text)),
            tuple(table for each in sections for table in each.tables),
            tuple(figure for each in sections for figure in each.figures),
            folded=tuple(table for each in sections for table in each.folded),
        )

    return KindView(tables, headline, key_figures, section)
