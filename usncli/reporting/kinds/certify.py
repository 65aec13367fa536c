"""What ``usn certify`` decided: verdicts, rates with their denominators, cost, and counterexamples."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from usncli.certifying.verdicts import Verdict
from usncli.gating.checks import GateResult
from usncli.reporting.document import Headline, KeyFigure, Section, Status
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.kinds.queries import (
    Query,
    by_perturbation,
    counts,
    not_certified,
    outcome_words,
    rate,
    scaled_words,
    short_words,
    worst_first,
)
from usncli.reporting.kinds.view import KindView, Record
from usncli.reporting.pictures import picture_figure
from usncli.reporting.plots import times_sorted, verdict_counts
from usncli.reporting.table import Cell, Column, Table, table

WORST_SHOWN = 10
"""Queries that a terminal lists, the worst first."""

RANGES_SHOWN = 20
"""Queries whose largest range a terminal lists."""

_STATUS = {
    GateResult.PASSED: Status.PASSED,
    GateResult.FAILED: Status.FAILED,
    GateResult.INCONCLUSIVE: Status.INCONCLUSIVE,
}


def tables(record: Record) -> tuple[Table, ...]:
    """Return rates, cost, the largest ranges where they were looked for, and the worst queries."""
    shown = [rates_table(record), cost_table(record), *largest_ranges_tables(record, RANGES_SHOWN)]
    worst = not_certified(record["queries"])
    if worst:
        title = (
            "Not certified" if len(worst) <= WORST_SHOWN else f"Not certified: the first {WORST_SHOWN} of {len(worst)}"
        )
        columns = [Column(name) for name in ("image", "perturbation", "verdict", "how")]
        rows = [(query["image"], query["perturbation"], query["verdict"], short_words(query)) for query in worst]
        shown.append(table(title, columns, rows[:WORST_SHOWN]))
    return tuple(shown)


def rates_table(record: Record) -> Table:
    """Return verdicts by perturbation; verdicts that no query got have no column."""
    groups = by_perturbation(record["queries"])
    found = [verdict for verdict in Verdict if record["counts"][verdict.value] and verdict != Verdict.CERTIFIED]
    rows: list[tuple[Cell, ...]] = []
    for label, queries in groups.items():
        of_verdict, certified = counts(queries), rate(queries)
        rows.append((label, str(certified), certified.share, *(of_verdict[verdict.value] for verdict in found)))
    columns = [Column("perturbation"), Column("certified", "s"), Column("rate", ".1%")]
    columns += [Column("wrong" if verdict == Verdict.MISCLASSIFIED else verdict.value, "d") for verdict in found]
    note = "A rate counts every image in its denominator; unknown is never certified."
    if Verdict.MISCLASSIFIED in found:
        note += " Wrong: already misclassified without perturbation."
    return table("Certified rate", columns, rows, note)


def cost_table(record: Record) -> Table:
    """Return time, work, pieces and unstable ReLUs by perturbation."""
    unstable, rows = record["unstable_relus"], []
    for label, queries in by_perturbation(record["queries"]).items():
        seconds = [query["seconds"] for query in queries]
        pieces = sum(query["pieces"] for query in queries) / len(queries)
        passes = statistics.median(query["passes"] for query in queries)
        rows.append((label, sum(seconds) / len(seconds), max(seconds), passes, pieces, unstable.get(label)))
    columns = [
        Column("perturbation"),
        Column("mean s", ".3g"),
        Column("slowest s", ".3g"),
        Column("passes", ",.0f"),
        Column("pieces", ",.0f"),
        Column("unstable ReLUs", ",.1f"),
    ]
    note = (
        "An image: mean and longest time, median work in forward passes of the network "
        f"({record['total_passes']:,.0f} in all), mean pieces. Unstable: of {record['relus']:,} ReLUs, those that "
        "cross zero within a hundredth of the range."
    )
    return table("Cost", columns, rows, note)


def largest_ranges_tables(record: Record, most: int | None = None) -> tuple[Table, ...]:
    """Return the largest certified and the smallest falsified range of each query; no table where none was looked for.

    Args:
        record: of a certification.
        most: queries to show, the first ones; None shows all.
    """
    queries = [query for query in record["queries"] if query["certified_scale"] is not None]
    if not queries:
        return ()
    rows = [
        (
            query["image"],
            query["perturbation"],
            query["certified_scale"],
            scaled_words(query["perturbation"], query["certified_scale"]),
            query["falsified_scale"],
            scaled_words(query["perturbation"], query["falsified_scale"], outward=True),
        )
        for query in queries[:most]
    ]
    columns = [
        Column("image"),
        Column("perturbation"),
        Column("certified", ".3f"),
        Column("holds for"),
        Column("falsified", ".3f"),
        Column("fails within"),
    ]
    note = "Certified, falsified: shares of the range around no change. 1 and no failure: at least the whole range."
    title = "Largest ranges"
    return (
        table(
            title if len(rows) == len(queries) else f"{title}: the first {most} of {len(queries)}", columns, rows, note
        ),
    )


def queries_table(title: str, queries: Sequence[Query]) -> Table:
    """Return one row a query."""
    rows = [
        (
            query["image"],
            query["perturbation"],
            query["verdict"],
            query["margin"],
            outcome_words(query),
            query["passes"],
            query["seconds"],
        )
        for query in queries
    ]
    columns = [
        Column("image"),
        Column("perturbation"),
        Column("verdict"),
        Column("margin", ".3g"),
        Column("outcome"),
        Column("passes", ",.0f"),
        Column("s", ".3g"),
    ]
    return table(title, columns, rows)


def headline(run: FinishedRun) -> Headline:
    """Say how many are certified; where a limit was set, whether the gate opens."""
    record = run.record
    groups = by_perturbation(record["queries"])
    parts = [f"{rate(queries).count} of {rate(queries).total} at {label}" for label, queries in groups.items()]
    if len(parts) == 1:
        text = f"{parts[0].replace(' at ', ' images certified at ', 1)}."
    else:
        text = f"{record['certified']} of {record['total']} queries certified"
        text += f": {'; '.join(parts)}." if len(parts) <= 4 else f", over {len(parts)} perturbations."
    if run.gate is None:
        return Headline(text, details=("No limit was set: --min-certified makes this a gate.", str(record["claim"])))
    return Headline(text, _STATUS[run.gate.result], (*run.gate.lines, str(record["claim"])))


def key_figures(record: Record) -> tuple[KeyFigure, ...]:
    """Return the rate of each perturbation, up to four, and the time an image."""
    groups = by_perturbation(record["queries"])
    rates = [
        KeyFigure(f"Certified, {label}", f"{rate(queries).share:.0%}", f"{rate(queries)} images")
        for label, queries in list(groups.items())[:4]
    ]
    unstable = list(record["unstable_relus"].values())
    time = KeyFigure("Time an image", f"{record['mean_seconds']:.3g} s", "mean over all queries")
    if not unstable:
        return (*rates, time)
    mean = sum(unstable) / len(unstable)
    return (*rates, time, KeyFigure("Unstable ReLUs", f"{mean:,.0f}", f"of {record['relus']:,}"))


def section(run: FinishedRun) -> Section:
    """Return everything about a certification."""
    record = run.record
    groups = by_perturbation(record["queries"])
    seconds = {label: [query["seconds"] for query in queries] for label, queries in groups.items()}
    plots = [verdict_counts({label: counts(queries) for label, queries in groups.items()}), times_sorted(seconds)]
    pictures = [picture_figure(picture) for picture in run.pictures]
    every = queries_table("Every image", worst_first(record["queries"]))
    said = headline(run)
    return Section(
        f"Certification: {run.name}",
        (said.text, str(record["claim"])),
        (rates_table(record), cost_table(record), *largest_ranges_tables(record)),
        (*plots, *pictures) if groups else (),
        folded=(every,),
    )


VIEW = KindView(tables, headline, key_figures, section)
