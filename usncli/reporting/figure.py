"""Figures for a page: vector drawings whose colours follow the page's light or dark theme.

matplotlib draws with placeholder colours; in the SVG they become CSS variables. Only `Figure` objects are used, never
pyplot's global state.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from usncli.reporting.table import printable

INK, MUTED, GRID = "#010101", "#020202", "#030303"
SERIES = ("#010201", "#010202", "#010203", "#010204", "#010205")
"""Placeholder colours of data series; the page's style sheet has five that stay apart for the colour-blind."""

GOOD, BAD, UNDECIDED, NEUTRAL = "#020101", "#020102", "#020103", "#020104"
"""Placeholder colours of verdicts."""

_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--line",
    **{colour: f"--series-{number}" for number, colour in enumerate(SERIES, start=1)},
    GOOD: "--good",
    BAD: "--bad",
    UNDECIDED: "--undecided",
    NEUTRAL: "--neutral",
}
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 10.5,
    "svg.fonttype": "none",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "path.simplify": True,
}
WIDTH = 4.8
"""Inches; so narrow that the text stays readable where a phone shrinks the drawing."""


@dataclass(frozen=True)
class Figure:
    """A drawing on a page.

    Attributes:
        title: what it shows.
        markup: an inline SVG, or HTML made of such; it names no other file.
        description: what a reader who cannot see it is told; numbers, not looks.
        note: what is said below it, for all readers.
    """

    title: str
    markup: Markup
    description: str
    note: str = ""

    def with_note(self, note: str) -> Figure:
        """Return the same drawing with another note."""
        return replace(self, note=note)


def draw(
    title: str, description: str, paint: Callable[[Sequence[Axes]], None], *, height: float = 2.9, panels: int = 1
) -> Figure:
    """Draw axes, one below the other with a shared x axis, as a themed inline SVG.

    Args:
        title: of the figure; the page prints it, the drawing does not.
        description: for readers who cannot see it.
        paint: draws on the axes, in the placeholder colours of this module; text that is not ours through `plain`.
        height: inches.
        panels: number of axes.
    """
    with matplotlib.rc_context(_STYLE | {"svg.hashsalt": title}):
        canvas = Canvas(figsize=(WIDTH, height), layout="constrained")
        axes = canvas.subplots(panels, 1, sharex=True, squeeze=False)
        paint(list(axes[:, 0]))
        written = io.StringIO()
        canvas.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return Figure(title, Markup(_themed(written.getvalue())), description)


def plain(text: str) -> str:
    """Return text that matplotlib draws as it stands: no formulas, no steering characters."""
    return printable(text).replace("$", r"\$")


def _themed(svg: str) -> str:
    """Keep the drawing alone: no XML header, metadata, namespaces or fonts; theme colours; sizes left to the page."""
    view = re.search(r'viewBox="[^"]*"', svg)
    assert view is not None, "matplotlib writes a viewBox"
    body = svg[svg.index("<svg") :].split(">", 1)[1]
    body = re.sub(r"<metadata>.*?</metadata>\s*|<style.*?</style>\s*", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body)
    body = re.sub(r"\s*\n\s*", "\n", body)
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, f"var({variable})")
    return f'<svg {view.group(0)} aria-hidden="true">{body.strip()}'
