"""What a run of finetune-prune did, for people and machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from usncli.pruning.complexity import Complexity
from usncli.pruning.masks import Masks
from usncli.scoring.groups import DependencyGroup, UnprunableGroup

SCHEMA_VERSION = 1
"""Version of `FinetuneRecord.to_record`; it grows when a field changes its meaning or goes."""


@dataclass(frozen=True)
class CutGroup:
    """Which channels of a group are gone, in the numbering of the network that was never cut.

    Attributes:
        name: the group: the first layer that makes its channels.
        layers: every layer that held parameters of these channels.
        channels: number of channels before the first cut.
        removed: increasing numbers of the channels that are gone.
    """

    name: str
    layers: tuple[str, ...]
    channels: int
    removed: tuple[int, ...]

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> CutGroup:
        """Rebuild from plain JSON values."""
        return cls(record["name"], tuple(record["layers"]), record["channels"], tuple(record["removed"]))


def record_cut(
    groups: Sequence[DependencyGroup], masks: Masks, earlier: Sequence[CutGroup] = ()
) -> tuple[CutGroup, ...]:
    """Say what is cut, on top of what an earlier run had cut from the same network.

    Args:
        groups: of the network before this cut.
        masks: what this cut removes.
        earlier: what was removed before; groups that are not touched again are passed on.

    Returns:
        Every group that lost a channel, now or before.
    """
    before = {group.name: group for group in earlier}
    cuts = []
    for group in groups:
        known = before.pop(group.name, CutGroup(group.name, (), group.channels, ()))
        left = sorted(set(range(known.channels)) - set(known.removed))
        removed = [left[channel] for channel in masks[group.name].nonzero().flatten().tolist()]
        layers = tuple(dict.fromkeys([*known.layers, *(member.module for member in group.members)]))
        cuts.append(CutGroup(group.name, layers, known.channels, tuple(sorted([*known.removed, *removed]))))
    return tuple(group for group in (*cuts, *before.values()) if group.removed)


@dataclass(frozen=True)
class FinetuneRecord:
    """The outcome of a run.

    Attributes:
        path: the pruned network, which `usncli.loading.network_file.load_network` reads.
        options: as chosen.
        perturbations: labels of the ranges.
        error_unit: what an error counts, see `usncli.loading.metrics.ERROR_UNITS`.
        error_before, error_after: on the validation data, of the network given and of the one that came out; none
            where there were no validation data.
        complexity_before, complexity_after: size and cost.
        rho: share of the prunable channels that this run cut.
        reached: share of what the ratio is a share of (the options' target) that it removed.
        note: what the floors kept from being removed; empty where all that was asked for is gone.
        steps: of training.
        chosen_step: steps finished when the network was as it came out; less than ``steps`` where an earlier one was
            better.
        evaluations: one mapping for each network that was judged on the way: step, and what was found.
        seconds: spent training, over all resumptions.
        history: one mapping a logged step: step, loss, error on the batch, rho, and the terms of the loss.
        cut: what is gone, in the numbering of the network that was never cut.
        importances: of every group's channels, as the criterion last judged them: those that are cut, as when they
            were masked. In the numbering of the network given; empty where nothing was scored.
        unprunable: groups that could not be cut, and why.
        fingerprint: of settings, first weights and data.
    """

    path: Path
    options: Mapping[str, Any]
    perturbations: tuple[str, ...]
    error_unit: str
    error_before: float | None
    error_after: float | None
    complexity_before: Complexity
    complexity_after: Complexity
    rho: float
    reached: float
    note: str
    steps: int
    chosen_step: int
    evaluations: tuple[Mapping[str, float], ...]
    seconds: float
    history: tuple[Mapping[str, float], ...]
    cut: tuple[CutGroup, ...]
    importances: Mapping[str, tuple[float, ...]]
    unprunable: tuple[UnprunableGroup, ...]
    fingerprint: str

    def to_record(self) -> dict[str, Any]:
        """Return plain JSON values; the path as the file's name, since the record travels inside that file."""
        record = {"schema_version": SCHEMA_VERSION} | asdict(self) | {"path": self.path.name}
        for name in ("complexity_before", "complexity_after"):
            record[name] = getattr(self, name)._asdict()
        return record

    @classmethod
    def from_record(cls, record: Mapping[str, Any], path: Path) -> FinetuneRecord:
        """Rebuild from `to_record`, as read from ``path``."""
        values = {name: record[name] for name in cls.__dataclass_fields__}
        values |= {name: Complexity(**record[name]) for name in ("complexity_before", "complexity_after")}
        values |= {name: tuple(record[name]) for name in ("perturbations", "history", "evaluations")}
        values["cut"] = tuple(CutGroup.from_record(group) for group in record["cut"])
        values["importances"] = {name: tuple(found) for name, found in record["importances"].items()}
        values["unprunable"] = tuple(
            UnprunableGroup(group["name"], tuple(group["layers"]), group["reason"]) for group in record["unprunable"]
        )
        return cls(**values | {"path": path})
