"""What ``usn score`` found: which channels are unstable, which would go, and how sure that is."""

from __future__ import annotations

from statistics import median
from typing import Any

from usncli.reporting.document import Headline, KeyFigure, Section
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.kinds.view import KindView, Record
from usncli.reporting.layer_plots import channels_by_group, importance_histogram
from usncli.reporting.table import Column, Table, table
from usncli.scoring.stability import STABLE_SHARE, SampleLimit

LEAST_SHOWN = 10
"""Channels listed as the least important ones in a terminal."""

DEFINITION = (
    "Instability and importance follow this project's own definitions, built on the summary of arXiv 2510.00083; "
    "importance is 1/2 at the median instability and falls as a channel gets less stable."
)


def tables(record: Record) -> tuple[Table, ...]:
    """Return the groups, the least important channels, how stable the cut set is, and what could not be scored."""
    shown = [groups_table(record), channels_table(record, LEAST_SHOWN), overlap_table(record)]
    return (*shown, unprunable_table(record)) if record["unprunable"] else tuple(shown)


def groups_table(record: Record) -> Table:
    """Return one row a prunable group."""
    rows = [
        (
            group["name"],
            len(group["importance"]),
            len(group["cut"]),
            len(group["dead"]),
            median(group["importance"]) if group["importance"] else None,
            _median_of_known(group["instability"]),
        )
        for group in record["groups"]
    ]
    columns = [
        Column("group"),
        Column("channels", ","),
        Column("cut", ","),
        Column("dead", ","),
        Column("importance", ".3f"),
        Column("instability", ".2e"),
    ]
    ratio = record["options"]["ratio"]
    note = f"Cut: at ratio {ratio:g} over all groups. Importance and instability: medians of the group's channels."
    return table(f"Channel groups under {record['perturbation']}", columns, rows, note)


def channels_table(record: Record, limit: int | None = None) -> Table:
    """Return channels, the least important first, with standard errors."""
    rows = [
        (
            group["name"],
            channel,
            group["importance"][channel],
            group["importance_error"][channel],
            group["instability"][channel],
            group["instability_error"][channel],
            channel in group["cut"],
        )
        for group in record["groups"]
        for channel in range(len(group["importance"]))
    ]
    rows.sort(key=lambda row: row[2])
    columns = [
        Column("group"),
        Column("channel", "d"),
        Column("importance", ".3f"),
        Column("±", ".3f"),
        Column("instability", ".2e"),
        Column("±", ".1e"),
        Column("cut"),
    ]
    title = "All channels, the least important first" if limit is None else "The least important channels"
    return table(title, columns, rows[:limit], "±: standard error over images; - is unknown (a dead channel, say).")


def overlap_table(record: Record) -> Table:
    """Return how much the cut sets of two halves of the samples agree."""
    rows = []
    for name, key in (("two halves of the images", "overlap_images"), ("two halves of the thetas", "overlap_thetas")):
        overlap = record[key]
        rows.append((name, overlap["share"] if overlap else None, overlap["jaccard"] if overlap else None))
    columns = [Column("cut sets of"), Column("in common", ".1%"), Column("Jaccard", ".3f")]
    note = "1 is a set that does not depend on the sample; quadrature has no halves of thetas."
    return table("How stable the cut set is", columns, rows, note)


REMEDIES = {
    SampleLimit.IMAGES: "score more images",
    SampleLimit.THETAS: "take more samples, or the method quadrature, which needs few",
}


def warnings(record: Record) -> tuple[str, ...]:
    """Return one line for each perturbation whose cut set is not stable yet, saying what to do.

    Args:
        record: of a whole run, or of one perturbation.
    """
    parts = record.get("scores", [record])
    return tuple(warning(part) for part in parts if part.get("limited_by"))


def warning(record: Record) -> str:
    """Return what is wrong with the cut set of one perturbation, and what to do."""
    limit = SampleLimit(record["limited_by"])
    overlap = record[f"overlap_{limit}"]
    halves = (
        f"two halves of the {limit} share {overlap['share']:.0%} of it, expected at least {STABLE_SHARE:.0%}"
        if overlap
        else f"{record['images']} images are too few to tell"
    )
    return f"{record['perturbation']}: the cut set is not stable yet ({halves}); {REMEDIES[limit]}"


def unprunable_table(record: Record) -> Table:
    """Return the channels that stay, with the reason."""
    rows = [(group["name"], group["reason"]) for group in record["unprunable"]]
    return table("Not prunable", ["layer", "because"], rows)


def headline(run: FinishedRun) -> Headline:
    """Say how many channels were scored and how many would go."""
    record = run.record
    text = (
        f"At ratio {record['options']['ratio']:g}, {record['cut']} of {record['channels']} prunable channels would be "
        f"cut under {record['perturbation']}."
    )
    overlap = record["overlap_images"]
    agree = (f"Two halves of the images choose {overlap['share']:.0%} of them alike.",) if overlap else ()
    return Headline(text, details=(*agree, *(f"Warning: {line}." for line in warnings(record))))


def key_figures(record: Record) -> tuple[KeyFigure, ...]:
    """Return counts of what was scored."""
    overlap = record["overlap_images"]
    return (
        KeyFigure("Prunable channels", f"{record['channels']:,}", f"{len(record['groups'])} groups"),
        KeyFigure("Would be cut", f"{record['cut']:,}", f"ratio {record['options']['ratio']:g}"),
        KeyFigure("Scored on", f"{record['images']:,} images", f"{record['thetas']} thetas each"),
        KeyFigure("Cut set agrees", f"{overlap['share']:.0%}" if overlap else "-", "two halves of the images"),
    )


def section(run: FinishedRun) -> Section:
    """Return everything about a scoring."""
    record = run.record
    kept: list[float] = []
    cut: list[float] = []
    for group in record["groups"]:
        gone = set(group["cut"])
        for channel, importance in enumerate(group["importance"]):
            (cut if channel in gone else kept).append(importance)
    figures = [importance_histogram(kept, cut, under=record["perturbation"])] if kept or cut else []
    if record["groups"]:
        before = [len(group["importance"]) for group in record["groups"]]
        after = [size - len(group["cut"]) for size, group in zip(before, record["groups"], strict=True)]
        figures.append(channels_by_group([group["name"] for group in record["groups"]], before, after))
    shown = [groups_table(record), overlap_table(record)]
    if record["unprunable"]:
        shown.append(unprunable_table(record))
    return Section(
        f"Score: {run.name}",
        (headline(run).text, DEFINITION),
        tuple(shown),
        tuple(figures),
        folded=(channels_table(record),),
    )


def _median_of_known(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


VIEW = KindView(tables, headline, key_figures, section)
