"""Plots of channels and ReLUs by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from usncli.reporting.bars import grouped_bars, grouped_height, legend_above, name_rows, write_beside
from usncli.reporting.figure import BAD, NEUTRAL, SERIES, Figure, draw


def importance_histogram(
    kept: Sequence[float], cut: Sequence[float], unclear: Sequence[float] = (), under: str = ""
) -> Figure:
    """Show how importance is distributed over all prunable channels, and which of them are cut.

    Args:
        kept: importance of the channels that stay.
        cut: of those that go.
        unclear: of those of which it is not known.
        under: the perturbation, where there is one alone.
    """
    parts = [(cut, BAD, "cut"), (kept, SERIES[0], "kept"), (unclear, NEUTRAL, "cut or kept, not recorded")]
    shown = [(list(values), colour, f"{name} ({len(values)})") for values, colour, name in parts if values]
    every = [*kept, *cut, *unclear]

    def paint(axes: Sequence[Axes]) -> None:
        only = axes[0]
        if shown:
            values, colours, names = (list(part) for part in zip(*shown, strict=True))
            # Importance is a share by most criteria, and on a scale of its own by the others.
            ends = (min(0.0, *every), max(1.0, *every))
            only.hist(values, bins=30, range=ends, stacked=True, color=colours, label=names)
            only.legend()
        only.set_xlabel("importance")
        only.set_ylabel("channels")
        only.yaxis.set_major_locator(MaxNLocator(integer=True))
        only.grid(axis="y")

    words = ", ".join(name for _, _, name in shown)
    title = f"Importance of the channels under {under}" if under else "Importance of the channels"
    return draw(title, f"Histogram of the importance of {len(every)} channels: {words or 'none'}.", paint)


def channels_by_group(
    names: Sequence[str], before: Sequence[int], after: Sequence[int], earlier: Sequence[int] | None = None
) -> Figure:
    """Show how many channels of each group stay and how many go.

    Args:
        names: one a group, in network order.
        before: channels of each group, before any cut.
        after: those of them that stay.
        earlier: those that were gone before this run; None is none.
    """
    earlier = earlier or [0] * len(names)
    rows = list(zip(names, before, after, earlier, strict=True))

    def paint(axes: Sequence[Axes]) -> None:
        only, places = axes[0], range(len(rows))
        only.barh(places, after, color=SERIES[0], label="kept")
        gone = [first - last - old for _, first, last, old in rows]
        only.barh(places, gone, left=list(after), color=BAD, label="cut")
        if any(earlier):
            ends = [last + lost for last, lost in zip(after, gone, strict=True)]
            only.barh(places, earlier, left=ends, color=NEUTRAL, label="cut by an earlier run")
        for place, first, lost in zip(places, before, gone, strict=True):
            write_beside(only, f"-{lost}" if lost else "", first, place)
        name_rows(only, names)
        only.set_xlabel("channels")
        only.xaxis.set_major_locator(MaxNLocator(integer=True))
        only.margins(x=0.08)
        legend_above(only)

    lines = [f"{name}: {last} of {first}" + (f" ({old} cut earlier)" if old else "") for name, first, last, old in rows]
    height = 1.1 + 0.24 * len(names)
    return draw("Channels cut, by group", "Channels kept. " + "; ".join(lines) + ".", paint, height=height)


def unstable_by_layer(relus: Mapping[str, int], unstable: Mapping[str, Mapping[str, float]]) -> Figure:
    """Show how many ReLUs of each layer are unstable under each perturbation.

    Args:
        relus: number of ReLUs by layer, in network order.
        unstable: mean number of unstable ones, by perturbation, then by layer.
    """
    values = {
        layer: [(of_layer[layer], f"{_count(of_layer[layer])} of {total:,}") for of_layer in unstable.values()]
        for layer, total in relus.items()
    }

    def paint(axes: Sequence[Axes]) -> None:
        only = axes[0]
        grouped_bars(only, list(unstable), values)
        only.set_xlabel("unstable ReLUs, mean")
        only.margins(x=0.3)
        only.set_xlim(left=0)
        only.xaxis.set_major_locator(MaxNLocator(nbins=5))
        only.grid(axis="x")

    lines = [
        f"{layer}: " + ", ".join(f"{text} under {name}" for name, (_, text) in zip(unstable, row, strict=True))
        for layer, row in values.items()
    ]
    height = grouped_height(len(unstable), len(relus)) + 0.2
    figure = draw("Unstable ReLUs, by layer", "Unstable ReLUs. " + "; ".join(lines) + ".", paint, height=height)
    return figure.with_note("Of the ReLUs that read each layer, those that cross zero within a hundredth of the range.")


def _count(mean: float) -> str:
    """Write a mean number: with a digit behind the point where it is small."""
    return f"{mean:.1f}" if 0 < mean < 10 else f"{mean:,.0f}"
