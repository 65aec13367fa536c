"""Horizontal bars, their names and the numbers beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from usncli.reporting.figure import INK, MUTED, SERIES, plain

LEGEND_WIDTH, LEGEND_SIGN = 66, 6
"""Characters that fit beside each other in a legend, and those that an entry's sign takes."""


def grouped_bars(axes: Axes, networks: Sequence[str], values: Mapping[str, Sequence[tuple[float, str]]]) -> None:
    """Draw a group of bars a perturbation, a bar a network, each with its number in words beside it."""
    thickness = 0.8 / max(1, len(networks))
    for number, network in enumerate(networks):
        places = [row + (number - (len(networks) - 1) / 2) * thickness for row in range(len(values))]
        own = [of_networks[number] for of_networks in values.values()]
        colour = SERIES[number % len(SERIES)]
        axes.barh(places, [value for value, _ in own], 0.92 * thickness, color=colour, label=plain(network))
        for place, (value, text) in zip(places, own, strict=True):
            write_beside(axes, text, value, place)
    name_rows(axes, list(values))
    if len(networks) > 1:
        legend_above(axes)


def grouped_height(networks: int, perturbations: int) -> float:
    """Return the inches that groups of bars need."""
    return 1.0 + (0.26 * networks + 0.12) * perturbations


def write_beside(axes: Axes, text: str, x: float, y: float) -> None:
    """Write beside the end of a bar."""
    axes.annotate(text, (x, y), xytext=(4, 0), textcoords="offset points", va="center", color=INK, fontsize=9.5)


def legend_above(axes: Axes, handles: Sequence[Any] = ()) -> None:
    """Put the legend above the whole drawing, where the length of row names cannot push it out.

    Args:
        axes: what is drawn on.
        handles: entries, in order; by default all that have a label.
    """
    canvas = axes.get_figure(root=True)
    assert canvas is not None, "axes that are drawn on have a figure"
    chosen = list(handles) or axes.get_legend_handles_labels()[0]
    longest = max((len(str(handle.get_label())) for handle in chosen), default=0)
    columns = max(1, min(3, LEGEND_WIDTH // (longest + LEGEND_SIGN)))
    canvas.legend(handles=chosen, loc="outside upper left", ncols=columns)


def name_rows(axes: Axes, names: Sequence[str]) -> None:
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
