"""The tables and plots of docs/results.md, from the records; the words around them are left as they are."""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from recipes import MAIN, RATIOS, RECIPES, WASSERSTEIN, swept
from subjects import SUBJECTS, Subject

matplotlib.use("Agg")
from matplotlib import pyplot as plt

DOCS = Path(__file__).parents[2] / "docs"
BEGIN, END = "<!-- tables: written by examples/study/{script} -->", "<!-- end of tables -->"
FINAL = (("unbiased", 3), ("smooth", 1))
"""Losses that are told as they were at the end of a run, and with how many digits."""
SWEPT = "fly-cnn7"
"""The subject of the sweep."""
Record = Mapping[str, Any]
Records = Mapping[tuple[str, str], Sequence[Record]]


def write_results(folder: Path, docs: Path = DOCS) -> Path:
    """Put the tables of all records between the markers of results.md, and the plots beside it.

    Args:
        folder: of the records.
        docs: of results.md.
    """
    records = read(folder)
    parts = [main_table(records, subject) for subject in SUBJECTS.values() if (subject.name, "dense") in records]
    parts += [part for part in (sweep_table(records), separation_table(records)) if part]
    plot_rates(records, docs / "results-rates.png")
    plot_importances(records, docs / "results-importance.png")
    return put_between_markers(docs / "results.md", "Results", "study.py", parts)


def print_beside(again: Path, folder: Path) -> None:
    """Print what runs gave that were done again, each beside its record: error, size, certified counts by range.

    Args:
        again: folder of the records of runs done again.
        folder: of the records that the tables are made of.
    """
    for path in sorted(again.glob("*.json")):
        print(f"\n{path.stem}")
        for name, where in (("again", path), ("record", folder / path.name)):
            if where.exists():
                found = json.loads(where.read_text())
                counts = (f"{label} {certified(queries)}/{len(queries)}" for label, queries in found["queries"].items())
                size = f"{found['error']:.2f} px, {found['parameters']:,} parameters"
                print(f"  {name:7} {size}; certified {', '.join(counts)}")


def put_between_markers(path: Path, title: str, script: str, parts: Sequence[str]) -> Path:
    """Replace what stands between a script's markers in a page, which is begun where it is missing.

    Args:
        path: of the page.
        title: of a page that is begun.
        script: name of the script that writes the parts.
        parts: Markdown.
    """
    begin = BEGIN.format(script=script)
    text = path.read_text() if path.exists() else f"# {title}\n\n{begin}\n{END}\n"
    head, rest = text.split(begin)
    path.write_text(head + "\n\n".join([begin, *parts, END]) + rest.split(END)[1])
    return path


def read(folder: Path) -> Records:
    """Return the records by subject and recipe, in the order of their seeds."""
    found = defaultdict(list)
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text())
        found[record["subject"], record["recipe"]].append(record)
    return found


def spread(values: Iterable[float], digits: int = 2) -> str:
    """Return mean and standard deviation over seeds."""
    numbers = list(values)
    mean = f"{statistics.mean(numbers):.{digits}f}"
    return mean if len(numbers) == 1 else f"{mean} ± {statistics.stdev(numbers):.{digits}f}"


def certified(queries: Sequence[Mapping[str, Any]]) -> int:
    """Return how many queries are certified."""
    return sum(query["verdict"] == "certified" for query in queries)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table whose first column is text."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main_table(records: Records, subject: Subject) -> str:
    """Return the main comparison of a subject."""
    rows = []
    for recipe in MAIN:
        own = records.get((subject.name, recipe))
        if own:
            rates = [rate(own, label) for label in own[0]["queries"]]
            costs = [cost_ratio(records, subject, recipe, how) for how in ("passes", "seconds")]
            unstable = spread((sum(item["unstable"].values()) / len(item["unstable"]) for item in own), 0)
            parameters = f"{statistics.mean(item['parameters'] for item in own):,.0f}"
            error = spread(item["error"] for item in own)
            rows.append([RECIPES[recipe].title, str(len(own)), error, *rates, *costs, unstable, parameters])
    labels = list(records[subject.name, "dense"][0]["queries"])
    header = ["recipe", "seeds", "error, px", *labels, "passes", "seconds", "unstable ReLUs", "parameters"]
    count = len(records[subject.name, "dense"][0]["queries"][labels[0]])
    title = f"### {subject.name}: tau = {subject.tau:g} px, certified of {count} images, mean over seeds"
    return f"{title}\n\n{table(header, rows)}"


def rate(own: Sequence[Record], label: str) -> str:
    """Return how many images are certified, with those undecided."""
    unknown = sum(query["verdict"] == "unknown" for record in own for query in record["queries"][label])
    found = spread((certified(record["queries"][label]) for record in own), 1)
    return found + (f" ({unknown / len(own):.1f} unknown)" if unknown else "")


def cost_ratio(records: Records, subject: Subject, recipe: str, how: str) -> str:
    """Return the cost over the dense network's, of queries at the easy tolerance that both certify, same seed.

    Args:
        records: all.
        subject: whose.
        recipe: of the network that is compared.
        how: ``passes``, of the network itself, so that they are weighted with its multiply-adds; or ``seconds``.
    """
    dense = {record["seed"]: record for record in records[subject.name, "dense"]}
    ratios = []
    for record in records[subject.name, recipe]:
        other = dense.get(record["seed"])
        pairs = [] if other is None else both_certified(record, other)
        if pairs and other is not None:
            weights = (record["multiply_adds"], other["multiply_adds"]) if how == "passes" else (1.0, 1.0)
            totals = [sum(pair[side][how] for pair in pairs) * weights[side] for side in (0, 1)]
            ratios.append(totals[0] / totals[1])
    return spread(ratios) if ratios else ""


def both_certified(record: Record, other: Record) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Return the pairs of easy queries, image by image, that two networks both have certified."""
    return [
        (first, second)
        for label, queries in record["easy_queries"].items()
        for first, second in zip(queries, other["easy_queries"][label], strict=True)
        if first["verdict"] == second["verdict"] == "certified"
    ]


def sweep_table(records: Records) -> str:
    """Return the sweep over rho and lambda_W; empty where it was not run."""
    rows = []
    for ratio, weight, own in sweep(records):
        rates = [rate(own, label) for label in own[0]["queries"]]
        rows.append([f"{ratio:g}", weight, str(len(own)), spread(item["error"] for item in own), *rates])
    if not rows:
        return ""
    labels = list(records[SWEPT, "usn"][0]["queries"])
    header = ["rho", "lambda_W", "seeds", "error, px", *labels]
    return f"### {SWEPT}, criterion usn: rho by lambda_W\n\n{table(header, rows)}"


def sweep(records: Records) -> list[tuple[float, str, Sequence[Record]]]:
    """Return rho, lambda_W and records of what was run of the sweep; nothing before one recipe of its own was."""
    found = [
        (ratio, weight, records[SWEPT, swept(ratio, weight)])
        for ratio in RATIOS
        for weight in WASSERSTEIN
        if (SWEPT, swept(ratio, weight)) in records
    ]
    return found if any(swept(ratio, weight) not in MAIN for ratio, weight, _ in found) else []


def separation_table(records: Records) -> str:
    """Return how far importances were driven apart when channels were cut; empty where the sweep was not run."""
    rows = []
    for ratio, weight, own in sweep(records):
        parts = [separation(item["importances"]) for item in own]
        last = [item["history"][-1] for item in own]
        losses = [spread((1000 * entry[name] for entry in last), digits) for name, digits in FINAL]
        rows.append([f"{ratio:g}", weight, *(spread(values) for values in zip(*parts, strict=True)), *losses])
    if not rows:
        return ""
    header = ["rho", "lambda_W", "mean importance, kept", "cut", "gap", "W1 to target"]
    header += [f"1000 x {name} at the end" for name, _ in FINAL]
    return f"### {SWEPT}: importances as channels were last judged\n\n{table(header, rows)}"


def separation(judged: Mapping[str, Sequence[float]]) -> tuple[float, float, float, float]:
    """Return the mean importance of what was kept and of what was cut, their gap, and the distance from 1 and 0."""
    kept, cut = statistics.mean(judged["kept"]), statistics.mean(judged["cut"])
    ordered = sorted([*judged["kept"], *judged["cut"]])
    target = [0.0] * len(judged["cut"]) + [1.0] * len(judged["kept"])
    return kept, cut, kept - cut, statistics.mean(abs(one - two) for one, two in zip(ordered, target, strict=True))


def plot_importances(records: Records, path: Path) -> None:
    """Draw the importances of all seeds at rho 0.2, what was kept and what was cut, for every lambda_W."""
    found = [(weight, own) for ratio, weight, own in sweep(records) if ratio == 0.2]
    if not found:
        return
    figure, axes = plt.subplots(1, len(found), figsize=(3.4 * len(found), 3), squeeze=False, sharey=True)
    for place, (weight, own) in zip(axes[0], found, strict=True):
        judged = [[value for item in own for value in item["importances"][part]] for part in ("kept", "cut")]
        place.hist(judged, bins=25, range=(0, 1), stacked=True, density=True, label=["kept", "cut"])
        place.set(title=f"lambda_W {weight}", xlabel="importance when last judged")
    axes[0][0].set_ylabel("density of channels")
    axes[0][0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def plot_rates(records: Records, path: Path) -> None:
    """Draw, for each subject, the certified share at the hardest ranges against the error."""
    subjects = [subject for subject in SUBJECTS.values() if (subject.name, "dense") in records]
    if not subjects:
        return
    columns = min(3, len(subjects))
    rows = math.ceil(len(subjects) / columns)
    size = (4.2 * columns, 3.4 * rows + 1.2)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for place in axes.flat[len(subjects) :]:
        place.set_visible(False)
    for place, subject in zip(axes.flat, subjects, strict=False):
        for number, recipe in enumerate(MAIN):
            own = records.get((subject.name, recipe), ())
            points = [(record["error"], 100 * hardest_rate(record, subject)) for record in own]
            if points:
                look = {"color": plt.get_cmap("tab20")(number), "marker": "os^D"[number % 4], "linestyle": "none"}
                place.plot(*zip(*points, strict=True), label=RECIPES[recipe].title, **look)
        place.set(title=subject.name, xlabel="error, px", ylim=(-3, 103))
    for place in axes[:, 0]:
        place.set_ylabel("certified at the hardest ranges, %")
    known = {label: line for place in axes.flat for line, label in zip(*place.get_legend_handles_labels(), strict=True)}
    figure.legend(known.values(), known.keys(), loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def hardest_rate(record: Record, subject: Subject) -> float:
    """Return the certified share over the two strongest ranges."""
    chosen = list(record["queries"])
    pick: Callable[[int], Any] = lambda place: record["queries"][chosen[place]]  # noqa: E731
    queries = [*pick(1), *pick(3)]
    return certified(queries) / len(queries)
