"""The plots of a report, each from plain numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter, StrMethodFormatter

from usncli.reporting.bars import grouped_bars, grouped_height, legend_above, name_rows, write_beside
from usncli.reporting.figure import BAD, GOOD, INK, NEUTRAL, SERIES, UNDECIDED, Figure, draw, plain
from usncli.reporting.rates import Rate
from usncli.reporting.table import NOTHING

VERDICT_COLOURS = {
    "certified": GOOD,
    "falsified": BAD,
    "unknown": UNDECIDED,
    "misclassified": SERIES[3],
    "error": NEUTRAL,
}
"""Colour of each verdict, in the order in which they are stacked."""


def training_history(steps: Sequence[float], figures: Mapping[str, Sequence[float | None]]) -> Figure:
    """Show figures of a training run over its steps, one panel a figure.

    Args:
        steps: step of each logged entry.
        figures: values by name; None where one was not logged.
    """

    def paint(axes: Sequence[Axes]) -> None:
        for panel, (name, values), colour in zip(axes, figures.items(), SERIES * len(figures), strict=False):
            known = [(step, value) for step, value in zip(steps, values, strict=True) if value is not None]
            marker = "o" if len(known) <= 12 else ""
            panel.plot([step for step, _ in known], [value for _, value in known], color=colour, marker=marker, ms=3.5)
            panel.set_title(plain(name), color=INK)
            panel.grid(axis="y")
            panel.yaxis.set_major_locator(MaxNLocator(nbins=4))
            if known and min(value for _, value in known) >= 0:
                panel.set_ylim(bottom=0)
        axes[-1].set_xlabel("step")

    known = {name: [value for value in values if value is not None] for name, values in figures.items()}
    ends = [f"{name} from {values[0]:.3g} to {values[-1]:.3g}" for name, values in known.items() if values]
    description = f"Training over {len(steps)} logged steps: " + "; ".join(ends) + "."
    return draw("Training", description, paint, height=0.6 + 1.25 * len(figures), panels=len(figures))


def certified_rates(networks: Sequence[str], rates: Mapping[str, Sequence[Rate]]) -> Figure:
    """Show the certified rate of several networks under several perturbations, with denominators.

    Args:
        networks: their names.
        rates: for each perturbation, one rate a network.
    """

    def paint(axes: Sequence[Axes]) -> None:
        only = axes[0]
        written = {name: [(of.share, str(of) if of.total else NOTHING) for of in row] for name, row in rates.items()}
        grouped_bars(only, networks, written)
        only.set_xlim(0, 1.12)
        only.set_xticks([0, 0.25, 0.5, 0.75, 1.0])
        only.xaxis.set_major_formatter(PercentFormatter(xmax=1.0))
        only.grid(axis="x")

    lines = [
        f"{name}: " + ", ".join(f"{network} {rate}" for network, rate in zip(networks, values, strict=True))
        for name, values in rates.items()
    ]
    height = grouped_height(len(networks), len(rates))
    return draw("Certified rate", "Certified images. " + "; ".join(lines) + ".", paint, height=height)


def compared_numbers(
    title: str, unit: str, networks: Sequence[str], values: Mapping[str, Sequence[float | None]], format_: str = ".3g"
) -> Figure:
    """Show one number of several networks under several perturbations.

    Args:
        title: what the number is.
        unit: of the axis.
        networks: their names.
        values: for each perturbation, one number of at least 0 a network; None where there is none.
        format_: how the number beside each bar is written.
    """
    written = {
        name: [(value or 0.0, "-" if value is None else format(value, format_)) for value in row]
        for name, row in values.items()
    }

    def paint(axes: Sequence[Axes]) -> None:
        only = axes[0]
        grouped_bars(only, networks, written)
        only.set_xlabel(unit)
        only.margins(x=0.15)
        only.set_xlim(left=0)
        only.xaxis.set_major_locator(MaxNLocator(nbins=5))
        only.grid(axis="x")

    lines = [
        f"{name}: " + ", ".join(f"{network} {text}" for network, (_, text) in zip(networks, row, strict=True))
        for name, row in written.items()
    ]
    height = grouped_height(len(networks), len(values)) + 0.2
    return draw(title, f"{title}, {unit}. " + "; ".join(lines) + ".", paint, height=height)


def verdict_counts(counts: Mapping[str, Mapping[str, int]]) -> Figure:
    """Show, for every perturbation, how many images got which verdict.

    Args:
        counts: for each perturbation, images by verdict.
    """
    found = [verdict for verdict in VERDICT_COLOURS if any(of.get(verdict) for of in counts.values())]

    def paint(axes: Sequence[Axes]) -> None:
        only, places = axes[0], range(len(counts))
        left = [0] * len(counts)
        for verdict in found:
            values = [of.get(verdict, 0) for of in counts.values()]
            only.barh(places, values, left=left, color=VERDICT_COLOURS[verdict], label=verdict)
            left = [start + value for start, value in zip(left, values, strict=True)]
        for place, of, total in zip(places, counts.values(), left, strict=True):
            write_beside(only, str(Rate(of.get("certified", 0), total)), total, place)
        name_rows(only, list(counts))
        only.set_xlabel("images (certified of all, beside each bar)")
        only.xaxis.set_major_locator(MaxNLocator(integer=True))
        only.margins(x=0.12)
        legend_above(only)

    lines = [
        f"{name}: " + ", ".join(f"{of[verdict]} {verdict}" for verdict in found if of.get(verdict))
        for name, of in counts.items()
    ]
    return draw("Verdicts", "Images by verdict. " + "; ".join(lines) + ".", paint, height=1.3 + 0.36 * len(counts))


def times_sorted(seconds: Mapping[str, Sequence[float]]) -> Figure:
    """Show how long queries took: the share that was finished within a time, one curve a perturbation.

    Args:
        seconds: time of each query, by perturbation.
    """

    def paint(axes: Sequence[Axes]) -> None:
        only = axes[0]
        for number, (name, values) in enumerate(seconds.items()):
            ordered = sorted(values)
            shares = [place / len(ordered) for place in range(1, len(ordered) + 1)]
            only.step(ordered, shares, where="post", color=SERIES[number % len(SERIES)], label=plain(name))
        if min((value for values in seconds.values() for value in values), default=0.0) > 0:
            only.set_xscale("log")
            slowest, fastest = (end(value for values in seconds.values() for value in values) for end in (max, min))
            between = (1.0,) if slowest > 200 * fastest else (1.0, 2.0, 5.0)
            only.xaxis.set_major_locator(LogLocator(subs=between))
            only.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            only.xaxis.set_minor_formatter(NullFormatter())
        only.set_xlabel("seconds an image")
        only.set_ylabel("images finished")
        only.set_ylim(0, 1.03)
        only.yaxis.set_major_formatter(PercentFormatter(xmax=1.0))
        only.grid(axis="both")
        legend_above(only)

    lines = [f"{name}: {len(values)} images, the slowest {max(values):.3g} s" for name, values in seconds.items()]
    return draw("Time to a verdict", "Share of images finished within a time. " + "; ".join(lines) + ".", paint)
