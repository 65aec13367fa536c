"""The tables and the plot of docs/sample-size.md, from the records; the words around them are left as they are."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import matplotlib
from tables import DOCS, put_between_markers, table

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import ScalarFormatter

Record = Mapping[str, Any]
Row = Mapping[str, Any]
HALVES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.01)
"""Edges of the bins of what two halves of the images share."""


def write_sample_size(folder: Path, docs: Path = DOCS) -> Path:
    """Put the tables of all records between the markers of sample-size.md, and the plot beside it.

    Args:
        folder: of the records.
        docs: of sample-size.md.
    """
    records = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    thetas = [record for record in records if record["part"] == "thetas"]
    images = [record for record in records if record["part"] == "images"]
    parts = [*map(thetas_table, thetas), *map(images_table, images)]
    if images:
        parts.append(halves_table([row for record in images for row in subsets(record)]))
        plot(thetas, images, docs / "sample-size.png")
    return put_between_markers(docs / "sample-size.md", "Sample size", "sample_size.py", parts)


def mean(rows: Iterable[Row], key: str) -> float:
    """Return the mean over rows that know it; NaN if none does."""
    known = [row[key] for row in rows if row[key] is not None]
    return statistics.mean(known) if known else float("nan")


def shown(value: float, form: str) -> str:
    """Return a number, or nothing for NaN."""
    return "" if value != value else format(value, form)


def by(rows: Iterable[Row], *keys: str) -> list[tuple[tuple[Any, ...], list[Row]]]:
    """Return rows with the same values of some keys together, in the order of the values, methods as they come."""
    rows = list(rows)
    methods = list(dict.fromkeys(row["method"] for row in rows))
    place: Callable[[Row], tuple[Any, ...]] = lambda row: tuple(  # noqa: E731
        methods.index(row[key]) if key == "method" else row[key] for key in keys
    )
    found = [list(same) for _, same in groupby(sorted(rows, key=place), place)]
    return [(tuple(same[0][key] for key in keys), same) for same in found]


def title(record: Record, what: str) -> str:
    """Return a table's heading."""
    return f"### {record['subject']}, {record['range']}: {what}"


def thetas_table(record: Record) -> str:
    """Return error, rank and cut set against the number of thetas, a method a column."""
    methods = list(dict.fromkeys(row["method"] for row in record["rows"]))
    rows = []
    for (samples,), same in by(record["rows"], "samples"):
        cells = {method: own for (method,), own in by(same, "method")}
        rows.append([str(samples), *(cell(cells.get(method, [])) for method in methods)])
    images = record["rows"][0]["images"]
    heading = title(record, f"thetas, on {images} images (error, rank, cut set)")
    return f"{heading}\n\n{table(['m', *methods], rows)}"


def cell(rows: Sequence[Row]) -> str:
    """Return median relative error, rank correlation and share of the cut set, means over draws."""
    if not rows:
        return ""
    return f"{mean(rows, 'error'):.2%}, {mean(rows, 'rank'):.4f}, {mean(rows, 'share'):.1%}"


def images_table(record: Record) -> str:
    """Return the same against the number of images, for each way of sampling theta."""
    choices = list(dict.fromkeys((row["method"], row["samples"]) for row in record["rows"]))
    rows = []
    for (images,), same in by(record["rows"], "images"):
        cells = dict(by(same, "method", "samples"))
        halves = mean(cells[choices[0]], "image_halves")
        rows.append([str(images), *(cell(cells[choice]) for choice in choices), shown(halves, ".1%")])
    headings = [f"{method}, {samples}" for method, samples in choices]
    heading = title(record, "images (error, rank, cut set)")
    return f"{heading}\n\n{table(['images', *headings, f'halves, {headings[0]}'], rows)}"


def subsets(record: Record) -> list[Row]:
    """Return the rows of fewer images than all."""
    most = max(row["images"] for row in record["rows"])
    return [row for row in record["rows"] if row["images"] < most]


def halves_table(rows: Sequence[Row]) -> str:
    """Return how far the cut set agrees with the reference's, by what two halves of the images share."""
    lines = []
    for low, high in pairwise(HALVES):
        same = [row["share"] for row in rows if row["image_halves"] is not None and low <= row["image_halves"] < high]
        if same:
            lines.append(
                [f"{low:.0%} to {min(high, 1):.0%}", str(len(same)), f"{statistics.mean(same):.1%}", f"{min(same):.1%}"]
            )
    header = ["halves of the images share", "subsets", "of the cut set the reference cuts", "worst"]
    return f"### What two halves of the images say of the cut set, all subjects\n\n{table(header, lines)}"


def plot(thetas: Sequence[Record], images: Sequence[Record], path: Path) -> None:
    """Draw the share of the cut set against the number of thetas, and against that of images."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    colours = dict(zip(("quadrature", "sobol", "monte-carlo"), ("C0", "C2", "C1"), strict=True))
    for number, record in enumerate(thetas):
        for (method,), rows in by(record["rows"], "method"):
            points = [(samples, mean(same, "share")) for (samples,), same in by(rows, "samples")]
            label = "" if number else method
            left.plot(*zip(*points, strict=True), color=colours[method], label=label, linewidth=1.2, alpha=0.7)
    for record in images:
        rows = [row for row in subsets(record) if (row["method"], row["samples"]) == ("quadrature", 8)]
        points = [(count, mean(same, "share")) for (count,), same in by(rows, "images")]
        right.plot(*zip(*points, strict=True), "o-", label=f"{record['subject']}, {record['range']}", linewidth=1.2)
    left.set(xlabel="thetas m; a line a subject and range", ylabel="of the cut set, the reference cuts")
    right.set(xlabel="images, quadrature with 8 thetas")
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
