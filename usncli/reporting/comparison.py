"""Several networks side by side: error, size, certified rate, time, unstable ReLUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from usncli.reporting.document import Section
from usncli.reporting.figure import Figure
from usncli.reporting.kinds.queries import by_perturbation, rate
from usncli.reporting.plots import Rate, bars, certified_rates
from usncli.reporting.table import NOTHING, Cell, Column, Table, table


@dataclass(frozen=True)
class NetworkSummary:
    """What is compared of a network; mappings are by perturbation.

    Attributes:
        name: such as dense, random, usn.
        rates: certified images.
        seconds: mean time to a verdict.
        unstable_relus: mean number within a hundredth of the range.
        error: of the task; None where it was not measured.
        error_unit: what the error counts.
        parameters: trained numbers; None where they were not counted.
    """

    name: str
    rates: Mapping[str, Rate]
    seconds: Mapping[str, float]
    unstable_relus: Mapping[str, float] = field(default_factory=dict)
    error: float | None = None
    error_unit: str = "px"
    parameters: int | None = None

    @classmethod
    def of(
        cls,
        name: str,
        certification: Mapping[str, Any],
        *,
        error: float | None = None,
        error_unit: str = "px",
        parameters: int | None = None,
    ) -> NetworkSummary:
        """Take rates, times and unstable ReLUs from a certification's record."""
        groups = by_perturbation(certification["queries"])
        return cls(
            name,
            {label: rate(queries) for label, queries in groups.items()},
            {label: sum(query["seconds"] for query in queries) / len(queries) for label, queries in groups.items()},
            certification["unstable_relus"],
            error,
            error_unit,
            parameters,
        )


def comparison_table(networks: Sequence[NetworkSummary]) -> Table:
    """Return one column a network, one row a quantity; what no network has is left out."""
    rows: list[tuple[Cell, ...]] = []
    if any(network.error is not None for network in networks):
        rows.append((f"error ({networks[0].error_unit})", *(_number(network.error, ".3f") for network in networks)))
    if any(network.parameters is not None for network in networks):
        rows.append(("parameters", *(_number(network.parameters, ",") for network in networks)))
    for label in perturbations(networks):
        found = [network.rates.get(label) for network in networks]
        rows.append((f"certified, {label}", *(NOTHING if of is None else f"{of} ({of.share:.0%})" for of in found)))
    for label in perturbations(networks):
        rows.append((f"seconds an image, {label}", *(_number(of.seconds.get(label), ".3g") for of in networks)))
    for label in perturbations(networks):
        values = [of.unstable_relus.get(label) for of in networks]
        if any(value is not None for value in values):
            rows.append((f"unstable ReLUs, {label}", *(_number(value, ",.0f") for value in values)))
    columns = [Column(""), *(Column(network.name, "s") for network in networks)]
    note = "Certified: of all images. Unstable: mean number of ReLUs that cross zero within a hundredth of the range."
    return table("Comparison", columns, rows, note)


def comparison_figures(networks: Sequence[NetworkSummary]) -> tuple[Figure, ...]:
    """Return certified rates, times and unstable ReLUs as bars."""
    labels = perturbations(networks)
    nothing = Rate(0, 0)
    rates = {label: [network.rates.get(label, nothing) for network in networks] for label in labels}
    figures = [certified_rates([network.name for network in networks], rates)]
    times = {
        f"{network.name}, {label}": network.seconds[label]
        for label in labels
        for network in networks
        if label in network.seconds
    }
    figures.append(bars("Certification time", "seconds an image, mean", times))
    unstable = {
        f"{network.name}, {label}": network.unstable_relus[label]
        for label in labels
        for network in networks
        if label in network.unstable_relus
    }
    if unstable:
        figures.append(bars("Unstable ReLUs", "within a hundredth of the range, mean", unstable, ",.0f"))
    return tuple(figures)


def comparison_section(networks: Sequence[NetworkSummary], text: Sequence[str] = ()) -> Section:
    """Return a section with table and figures."""
    return Section("Comparison", tuple(text), (comparison_table(networks),), comparison_figures(networks))


def perturbations(networks: Sequence[NetworkSummary]) -> list[str]:
    """Return every perturbation that a network was certified for, in order of appearance."""
    return list(dict.fromkeys(label for network in networks for label in network.rates))


def _number(value: float | None, format_: str) -> str:
    return NOTHING if value is None else format(value, format_)
