"""The plots of a report, each from plain numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from usncli.reporting.figure import BAD, GOOD, INK, MUTED, NEUTRAL, SERIES, UNDECIDED, Figure, draw, plain

VERDICT_COLOURS = {
    "certified": GOOD,
    "falsified": BAD,
    "unknown": UNDECIDED,
    "misclassified": SERIES[3],
    "error": NEUTRAL,
}
"""Colour of each verdict, in the order in which they are stacked."""


@dataclass(frozen=True)
class Rate:
    """A share with its denominator.

    Attributes:
        count: how many.
        total: of how many.
    """

    count: int
    total: int

    @property
    def share(self) -> float:
        """Count over total; 0 of nothing is 0."""
        return self.count / self.total if self.total else 0.0

    def __str__(self) -> str:
        return f"{self.count}/{self.total}"


def importance_histogram(kept: Sequence[float], cut: Sequence[float]) -> Figure:
    """Show how importance is distributed over all prunable channels, and which of them the ratio cuts.

    Args:
        kept: importance in [0, 1] of the channels that stay.
        cut: and of those that go.
    """

    def paint(axes: Sequence[Axes]) -> None:
        only = axes[0]
        only.hist(
            [list(cut), list(kept)],
            bins=30,
            range=(0.0, 1.0),
            stacked=True,
            color=[BAD, SERIES[0]],
            label=[f"cut ({len(cut)})", f"kept ({len(kept)})"],
        )
        only.set_xlabel("importance")
        only.set_ylabel("channels")
        only.yaxis.set_major_locator(MaxNLocator(integer=True))
        only.grid(axis="y")
        only.legend()

    description = f"Histogram of the importance of {len(kept) + len(cut)} channels, of which {len(cut)} are cut."
    return draw("Importance of the channels", description, paint)


def channels_by_group(names: Sequence[str], before: Sequence[int], after: Sequence[int]) -> Figure:
    """Show how many channels of each group stay and how many go.

    Args:
        names: one a group, in network order.
        before: channels of each group.
        after: those of them that stay.
    """

    def paint(axes: Sequence[Axes]) -> None:
        only, places = axes[0], range(len(names))
        only.barh(places, after, color=SERIES[0], label="kept")
        gone = [first - last for first, last in zip(before, after, strict=True)]
        only.barh(places, gone, left=list(after), color=BAD, label="cut")
        for place, first, lost in zip(places, before, gone, strict=True):
            _label(only, f"-{lost}" if lost else "", first, place)
        _name_rows(only, names)
        only.set_xlabel("channels")
        only.xaxis.set_major_locator(MaxNLocator(integer=True))
        only.margins(x=0.08)
        _legend_above(only)

    lines = [f"{name}: {last} of {first}" for name, first, last in zip(names, before, after, strict=True)]
    height = 1.1 + 0.24 * len(names)
    return draw("Channels cut, by group", "Channels kept. " + "; ".join(lines) + ".", paint, height=height)


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
        _grouped_bars(only, networks, {name: [(of.share, str(of)) for of in values] for name, values in rates.items()})
        only.set_xlim(0, 1.12)
        only.set_xticks([0, 0.25, 0.5, 0.75, 1.0])
        only.xaxis.set_major_formatter(PercentFormatter(xmax=1.0))
        only.grid(axis="x")

    lines = [
        f"{name}: " + ", ".join(f"{network} {rate}" for network, rate in zip(networks, values, strict=True))
        for name, values in rates.items()
    ]
    height = _grouped_height(len(networks), len(rates))
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
        _grouped_bars(only, networks, written)
        only.set_xlabel(unit)
        only.margins(x=0.15)
        only.set_xlim(left=0)
        only.xaxis.set_major_locator(MaxNLocator(nbins=5))
        only.grid(axis="x")

    lines = [
        f"{name}: " + ", ".join(f"{network} {text}" for network, (_, text) in zip(networks, row, strict=True))
        for name, row in written.items()
    ]
    height = _grouped_height(len(networks), len(values)) + 0.2
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
            _label(only, str(Rate(of.get("certified", 0), total)), total, place)
        _name_rows(only, list(counts))
        only.set_xlabel("images (certified of all, beside each bar)")
        only.xaxis.set_major_locator(MaxNLocator(integer=True))
        only.margins(x=0.12)
        _legend_above(only)

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
            only.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        only.set_xlabel("seconds an image")
        only.set_ylabel("images finished")
        only.set_ylim(0, 1.03)
        only.yaxis.set_major_formatter(PercentFormatter(xmax=1.0))
        only.grid(axis="both")
        only.legend(loc="lower right")

    lines = [f"{name}: {len(values)} images, the slowest {max(values):.3g} s" for name, values in seconds.items()]
    return draw("Time to a verdict", "Share of images finished within a time. " + "; ".join(lines) + ".", paint)


def _grouped_bars(axes: Axes, networks: Sequence[str], values: Mapping[str, Sequence[tuple[float, str]]]) -> None:
    """Draw a group of bars a perturbation, a bar a network, each with its number in words beside it."""
    thickness = 0.8 / max(1, len(networks))
    for number, network in enumerate(networks):
        places = [row + (number - (len(networks) - 1) / 2) * thickness for row in range(len(values))]
        own = [of_networks[number] for of_networks in values.values()]
        colour = SERIES[number % len(SERIES)]
        axes.barh(places, [value for value, _ in own], 0.92 * thickness, color=colour, label=plain(network))
        for place, (value, text) in zip(places, own, strict=True):
            _label(axes, text, value, place)
    _name_rows(axes, list(values))
    if len(networks) > 1:
        _legend_above(axes)


def _grouped_height(networks: int, perturbations: int) -> float:
    return 1.0 + (0.26 * networks + 0.12) * perturbations


def _label(axes: Axes, text: str, x: float, y: float) -> None:
    """Write beside the end of a bar."""
    axes.annotate(text, (x, y), xytext=(4, 0), textcoords="offset points", va="center", color=INK, fontsize=9)


def _legend_above(axes: Axes) -> None:
    """Put the legend above the whole drawing, where the length of row names cannot push it out."""
    canvas = axes.get_figure(root=True)
    assert canvas is not None, "axes that are drawn on have a figure"
    canvas.legend(loc="outside upper left", ncols=3)


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Name the rows of a horizontal bar chart, the first at the top; long names keep their end."""
    axes.set_yticks(range(len(names)), [_row_name(name) for name in names])
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines["left"].set_color(MUTED)
    axes.invert_yaxis()


def _row_name(name: str, longest: int = 26) -> str:
    """Break a joint perturbation at its commas; of other long names keep the end, which tells layers apart."""
    lines = name.split(",") if len(name) > longest else [name]
    shortened = (line if len(line) <= longest else "..." + line[3 - longest :] for line in lines)
    return ",\n".join(plain(line) for line in shortened)
