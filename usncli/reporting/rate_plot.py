"""The plot of the certified rate against eps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.ticker import PercentFormatter

from usncli.reporting.bars import legend_above
from usncli.reporting.figure import SERIES, Figure, draw, plain
from usncli.reporting.rates import INTERVAL, RateCurve, Step

STEPS_TOLD = 6
"""Places of a curve that are told to readers who cannot see it."""


def rate_against_eps(curves: Mapping[str, RateCurve]) -> Figure:
    """Show the certified rate over eps with its confidence interval, and the share that is not known to fail.

    Args:
        curves: of one perturbation and axis, by the name of the network; the name of a single one is not shown.
    """
    first = next(iter(curves.values()))

    def paint(axes: Sequence[Axes]) -> None:
        only = axes[0]
        handles: list[Any] = []
        for (name, curve), colour in zip(curves.items(), SERIES * len(curves), strict=False):
            prefix = f"{plain(name)}: " if len(curves) > 1 else ""
            if curve.certified:
                handles += _paint_steps(only, curve, colour, prefix)
            else:
                handles.append(_paint_points(only, curve.points, colour, f"{prefix}certified"))
        only.set_xlim(left=0)
        only.set_ylim(0, 1.03)
        only.set_xlabel(plain(first.axis))
        only.yaxis.set_major_formatter(PercentFormatter(xmax=1.0))
        only.grid(axis="both")
        legend_above(only, handles)

    described = "; ".join(_described(curve, name if len(curves) > 1 else "") for name, curve in curves.items())
    title, height = f"Certified rate against eps: {first.name}", 3.2 + 0.2 * (len(curves) - 1)
    figure = draw(title, f"{first.axis}. {described}.", paint, height=height)
    return figure.with_note(_note([bool(curve.certified) for curve in curves.values()]))


def _paint_steps(axes: Axes, curve: RateCurve, colour: str, prefix: str) -> list[Artist]:
    places = [step.eps for step in curve.certified]
    low, high = zip(*(step.rate.interval for step in curve.certified), strict=True)
    axes.fill_between(places, low, high, step="pre", color=colour, alpha=0.2, linewidth=0)
    shares = [step.rate.share for step in curve.certified]
    proved = axes.step(places, shares, where="pre", color=colour, label=f"{prefix}certified")
    standing = [step.rate.share for step in curve.standing]
    dashed: dict[str, Any] = {
        "color": colour,
        "linestyle": (0, (4, 2)),
        "linewidth": 1.1,
        "label": f"{prefix}not falsified",
    }
    return [*proved, *axes.step([step.eps for step in curve.standing], standing, where="post", **dashed)]


def _paint_points(axes: Axes, points: Sequence[Step], colour: str, label: str) -> ErrorbarContainer:
    places, shares = [point.eps for point in points], [point.rate.share for point in points]
    low, high = zip(*(point.rate.interval for point in points), strict=True)
    around = [
        [share - end for share, end in zip(shares, low, strict=True)],
        [end - share for share, end in zip(shares, high, strict=True)],
    ]
    return axes.errorbar(places, shares, yerr=around, color=colour, marker="o", ms=4, lw=1.2, capsize=3, label=label)


def _described(curve: RateCurve, name: str) -> str:
    told = curve.certified[1:] or curve.points
    every = max(1, -(-len(told) // STEPS_TOLD))
    chosen = dict.fromkeys([*told[::every], told[-1]])
    words = ", ".join(f"{step.rate} up to {step.eps:.4g} ({step.rate.interval_words})" for step in chosen)
    return f"{name}: certified {words}" if name else f"Certified {words}"


def _note(searched: Sequence[bool]) -> str:
    shown = "Band and bars" if len({*searched}) > 1 else "Band" if searched[0] else "Bars"
    interval = f"{shown}: {INTERVAL}, eps by eps, if the images were drawn at random."
    return f"{interval} Between the lines: neither proved nor refuted." if any(searched) else interval
