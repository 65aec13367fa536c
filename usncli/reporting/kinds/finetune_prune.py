"""What ``usn finetune-prune`` did: what went, what it cost in error, how the training ran."""

from __future__ import annotations

from collections.abc import Sequence

from usncli.reporting.document import Headline, KeyFigure, Section
from usncli.reporting.figure import Figure
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.kinds.channels import GroupChannels, group_channels, importance_table, removed_table
from usncli.reporting.kinds.view import KindView, Record
from usncli.reporting.layer_plots import channels_by_group, importance_histogram
from usncli.reporting.plots import training_history
from usncli.reporting.table import Cell, Column, Table, table

WATCHED = ("loss", "error", "rho")
"""Figures of the training that are always plotted, first."""

MOST_PANELS = 6


def tables(record: Record) -> tuple[Table, ...]:
    """Return before and after, the cut groups, and what could not be cut."""
    return (change_table(record), cut_table(record), *_other_tables(record))


def _other_tables(record: Record) -> tuple[Table, ...]:
    shown = [evaluation_table(record)] if record["evaluations"] else []
    if record["unprunable"]:
        rows = [(group["name"], group["reason"]) for group in record["unprunable"]]
        shown.append(table("Not prunable", ["layer", "because"], rows))
    return tuple(shown)


def change_table(record: Record) -> Table:
    """Return error, size and cost before and after."""
    before, after = record["complexity_before"], record["complexity_after"]
    groups = group_channels(record)
    channels = sum(group.channels - group.earlier for group in groups)
    rows: list[tuple[Cell, ...]] = [
        _row("parameters", before["parameters"], after["parameters"], ","),
        _row("multiply-adds an image", before["multiply_adds"], after["multiply_adds"], ","),
        _row("prunable channels", channels, channels - sum(group.now for group in groups), ","),
    ]
    if record["error_before"] is not None:
        name = f"validation error ({record['error_unit']})"
        rows.insert(0, _row(name, record["error_before"], record["error_after"], ".4g"))
    columns = [Column(""), Column("before", "g"), Column("after", "g"), Column("change", "+.1%")]
    options = record["options"]
    note = (
        f"Criterion {options['criterion']}, ratio {options['ratio']:g} of the {options['target']}, "
        f"{record['steps']:,} steps in {record['seconds']:.0f} s."
    )
    shortfall = f" Note: {record['note']}." if record["note"] else ""
    return table("Before and after", columns, rows, note + shortfall)


def evaluation_table(record: Record) -> Table:
    """Return what was found of the networks that were judged on the way, and which one was kept."""
    names = [name for name in record["evaluations"][0] if name != "step"]
    rows = [
        (found["step"], *(found[name] for name in names), "kept" if found["step"] == record["chosen_step"] else "")
        for found in record["evaluations"]
    ]
    columns = [Column("after step", ","), *(Column(name.replace("_", " "), ".4g") for name in names), Column("")]
    return table("Networks on the way", columns, rows, f"Kept: best by {record['options']['best']['choice']}.")


def cut_table(record: Record) -> Table:
    """Return what is gone from each group."""
    rows = [
        (group["name"], group["channels"], len(group["removed"]), len(group["removed"]) / max(1, group["channels"]))
        for group in record["cut"]
    ]
    columns = [Column("group"), Column("channels", ","), Column("cut", ","), Column("share", ".0%")]
    return table("Channels cut", columns, rows, "Counted from the network that was never cut.")


def headline(run: FinishedRun) -> Headline:
    """Say what was cut and what it cost."""
    record = run.record
    before, after = record["complexity_before"]["parameters"], record["complexity_after"]["parameters"]
    text = (
        f"{record['options']['criterion']} cut {record['rho']:.0%} of the prunable channels: "
        f"{before:,} parameters became {after:,}."
    )
    if record["error_before"] is None or record["error_after"] is None:
        return Headline(text, details=("No validation data were given, so the error was not measured.",))
    error = f"{record['error_before']:.4g} to {record['error_after']:.4g} {record['error_unit']}"
    return Headline(text, details=(f"The validation error went from {error}.",))


def key_figures(record: Record) -> tuple[KeyFigure, ...]:
    """Return size and error, before and after."""
    before, after = record["complexity_before"], record["complexity_after"]
    found = [
        KeyFigure("Parameters", f"{after['parameters']:,}", f"before: {before['parameters']:,}"),
        KeyFigure("Multiply-adds", f"{after['multiply_adds']:,}", f"before: {before['multiply_adds']:,}"),
        KeyFigure("Channels cut", f"{record['rho']:.0%}", f"criterion {record['options']['criterion']}"),
    ]
    if record["error_after"] is not None:
        value = f"{record['error_after']:.4g} {record['error_unit']}"
        found.insert(0, KeyFigure("Validation error", value, f"before: {record['error_before']:.4g}"))
    return tuple(found)


def section(run: FinishedRun) -> Section:
    """Return everything about a pruning run."""
    record = run.record
    groups = group_channels(record)
    figures = _channel_figures(groups)
    history = record["history"]
    if history:
        logged = {name for entry in history for name in entry if name != "step"}
        names = [name for name in WATCHED if name in logged] + sorted(logged.difference(WATCHED))
        values = {_panel(name, record): [entry.get(name) for entry in history] for name in names[:MOST_PANELS]}
        figures.append(training_history([entry["step"] for entry in history], values))
    said = headline(run)
    channels = importance_table(groups) if record["importances"] else cut_table(record)
    shown = (change_table(record), channels, *_other_tables(record))
    folded = (removed_table(groups),) if record["cut"] else ()
    return Section(f"Pruning: {run.name}", (said.text, *said.details), shown, tuple(figures), folded=folded)


def _channel_figures(groups: Sequence[GroupChannels]) -> list[Figure]:
    """Return importances and where channels were cut, as far as either is known."""
    kept, cut, unclear = (
        [value for group in groups for value in getattr(group, name)] for name in ("kept", "cut", "unclear")
    )
    figures = [importance_histogram(kept, cut, unclear)] if kept or cut or unclear else []
    if groups:
        after = [group.channels - len(group.removed) for group in groups]
        earlier = [group.earlier for group in groups]
        names = [group.name for group in groups]
        figures.append(channels_by_group(names, [group.channels for group in groups], after, earlier))
    return figures


def _panel(name: str, record: Record) -> str:
    return {"error": f"error on the batch ({record['error_unit']})", "rho": "rho, the share that is masked"}.get(
        name, name
    )


def _row(name: str, before: float, after: float | None, format_: str) -> tuple[Cell, ...]:
    change = after / before - 1 if after is not None and before else None
    return name, format(before, format_), None if after is None else format(after, format_), change


VIEW = KindView(tables, headline, key_figures, section)
