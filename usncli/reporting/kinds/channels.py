"""What a pruning run did to the channels of each group: which importances were kept and which were cut."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from statistics import median
from typing import Any, NamedTuple

from usncli.reporting.kinds.view import Record
from usncli.reporting.table import Column, Table, table


class GroupChannels(NamedTuple):
    """The channels of one group.

    A record numbers what is gone as the network that was never cut did, and importances as the network given did. The
    two agree for a group that no earlier run had cut. Of a group that is cut again the record does not say which of the
    importances belong to channels that went: they are unclear.

    Attributes:
        name: of the group.
        channels: number before any cut.
        removed: numbers of those that are gone now, increasing, as the network that was never cut had them.
        earlier: how many of them an earlier run had cut.
        kept, cut, unclear: importances of the channels of the network given.
    """

    name: str
    channels: int
    removed: tuple[int, ...]
    earlier: int
    kept: tuple[float, ...] = ()
    cut: tuple[float, ...] = ()
    unclear: tuple[float, ...] = ()

    @property
    def now(self) -> int:
        """How many channels this run cut."""
        return len(self.removed) - self.earlier


def group_channels(record: Record) -> tuple[GroupChannels, ...]:
    """Return the groups of a pruning record: those that were judged, in network order, then those cut before alone."""
    cut = {group["name"]: group for group in record["cut"]}
    judged = [_of_group(name, values, cut.get(name)) for name, values in record["importances"].items()]
    others = [
        GroupChannels(name, group["channels"], tuple(group["removed"]), len(group["removed"]) if judged else 0)
        for name, group in cut.items()
        if name not in record["importances"]
    ]
    return (*judged, *others)


def _of_group(name: str, importances: Sequence[float], cut: Any) -> GroupChannels:
    values = tuple(importances)
    if cut is None:
        return GroupChannels(name, len(values), (), 0, kept=values)
    removed = tuple(cut["removed"])
    group = GroupChannels(name, cut["channels"], removed, cut["channels"] - len(values))
    if not group.now:
        return group._replace(kept=values)
    if group.earlier:
        return group._replace(unclear=values)
    gone = set(removed)
    return group._replace(
        kept=tuple(value for channel, value in enumerate(values) if channel not in gone),
        cut=tuple(values[channel] for channel in removed),
    )


def importance_table(groups: Sequence[GroupChannels]) -> Table:
    """Return the medians of what was kept and cut, by group."""
    rows = [
        (group.name, group.channels - group.earlier, group.now, _median(group.kept), _median(group.cut))
        for group in groups
    ]
    columns = [
        Column("group"),
        Column("channels", ","),
        Column("cut", ","),
        Column("median kept", ".3g"),
        Column("median cut", ".3g"),
    ]
    note = "Median importances, as the criterion last judged the channels; those that are cut, when they were masked."
    if any(group.unclear for group in groups):
        note += (
            " -: an earlier run had cut this group too, and the record does not say which of the channels judged now "
            "are gone."
        )
    return table("Importance, by group", columns, rows, note)


def removed_table(groups: Sequence[GroupChannels]) -> Table:
    """Return the numbers of the channels that are gone, by group."""
    rows = [(group.name, number_words(group.removed)) for group in groups if group.removed]
    return table(
        "Numbers of the channels cut", ["group", "channels"], rows, "As the network that was never cut numbers them."
    )


def number_words(numbers: Sequence[int]) -> str:
    """Say increasing numbers, runs of them by their ends: ``0-3, 7``."""
    runs = []
    for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        own = [number for _, number in run]
        runs.append(str(own[0]) if len(own) == 1 else f"{own[0]}-{own[-1]}")
    return ", ".join(runs)


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None
