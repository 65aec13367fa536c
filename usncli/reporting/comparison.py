"""Several networks side by side: error, size, certified rate, time, unstable ReLUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from usncli.files import sha256_of_file
from usncli.reporting.document import Section
from usncli.reporting.figure import Figure
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.kinds.curves import rate_curves
from usncli.reporting.kinds.queries import by_perturbation, rate
from usncli.reporting.plots import certified_rates, compared_numbers
from usncli.reporting.rate_plot import rate_against_eps
from usncli.reporting.rates import Rate, RateCurve
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
        curves: certified rates over eps, where there are several ranges of one perturbation.
    """

    name: str
    rates: Mapping[str, Rate]
    seconds: Mapping[str, float]
    unstable_relus: Mapping[str, float] = field(default_factory=dict)
    error: float | None = None
    error_unit: str = "px"
    parameters: int | None = None
    curves: tuple[RateCurve, ...] = ()

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
            rate_curves(certification["queries"]),
        )


def networks_of(runs: Sequence[FinishedRun]) -> tuple[NetworkSummary, ...]:
    """Return a summary of every network that a run certified, in the order of the runs.

    A network is known by its file's SHA-256: where one of the runs pruned it, or pruned something else from it, that
    run tells its error and size, and its name is the criterion, or ``dense``. Otherwise it is called after its run.
    """
    origins = _origins(runs)
    certified = [run for run in runs if run.kind == "certify"]
    found = [origins.get(run.model_sha256 or "") for run in certified]
    names = [origin["name"] if origin else run.name for run, origin in zip(certified, found, strict=True)]
    return tuple(
        NetworkSummary.of(
            name if names.count(name) == 1 else run.name,
            run.record,
            **({key: value for key, value in origin.items() if key != "name"} if origin else {}),
        )
        for run, origin, name in zip(certified, found, names, strict=True)
    )


def _origins(runs: Sequence[FinishedRun]) -> dict[str, dict[str, Any]]:
    """What pruning runs know of networks, by the SHA-256 of their files."""
    given: dict[str, dict[str, Any]] = {}
    made: dict[str, dict[str, Any]] = {}
    for run in runs:
        if run.kind != "finetune-prune":
            continue
        record = run.record
        if run.model_sha256:
            given[run.model_sha256] = _known("dense", record, "before")
        path = None if run.folder is None else run.folder / record["path"]
        if path is not None and path.is_file():
            made[sha256_of_file(path)] = _known(str(record["options"]["criterion"]), record, "after")
    return given | made


def _known(name: str, record: Mapping[str, Any], when: str) -> dict[str, Any]:
    return {
        "name": name,
        "error": record[f"error_{when}"],
        "error_unit": record["error_unit"],
        "parameters": record[f"complexity_{when}"]["parameters"],
    }


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
    return table("Networks side by side", columns, rows, note)


def comparison_figures(networks: Sequence[NetworkSummary]) -> tuple[Figure, ...]:
    """Return certified rates, also over eps, errors, times and unstable ReLUs."""
    labels = perturbations(networks)
    nothing = Rate(0, 0)
    rates = {label: [network.rates.get(label, nothing) for network in networks] for label in labels}
    figures = [certified_rates([network.name for network in networks], rates)]
    figures += curve_figures(networks)
    names = [network.name for network in networks]
    if any(network.error is not None for network in networks):
        errors = {"validation data": [network.error for network in networks]}
        figures.append(compared_numbers("Error", networks[0].error_unit, names, errors))
    seconds = {label: [network.seconds.get(label) for network in networks] for label in labels}
    figures.append(compared_numbers("Certification time", "seconds an image, mean", names, seconds))
    unstable = {label: [network.unstable_relus.get(label) for network in networks] for label in labels}
    if any(value is not None for row in unstable.values() for value in row):
        unit = "within a hundredth of the range, mean"
        figures.append(compared_numbers("Unstable ReLUs", unit, names, unstable, ",.0f"))
    return tuple(figures)


def curve_figures(networks: Sequence[NetworkSummary]) -> list[Figure]:
    """Return a figure for each perturbation of which several networks have a curve over the same eps."""
    by_axis: dict[str, dict[str, RateCurve]] = {}
    for network in networks:
        for curve in network.curves:
            by_axis.setdefault(curve.axis, {})[network.name] = curve
    return [rate_against_eps(curves) for curves in by_axis.values() if len(curves) > 1]


def comparison_section(networks: Sequence[NetworkSummary], text: Sequence[str] = ()) -> Section:
    """Return a section with table and figures."""
    return Section("Comparison", tuple(text), (comparison_table(networks),), comparison_figures(networks))


def perturbations(networks: Sequence[NetworkSummary]) -> list[str]:
    """Return every perturbation that a network was certified for, in order of appearance."""
    return list(dict.fromkeys(label for network in networks for label in network.rates))


def _number(value: float | None, format_: str) -> str:
    return NOTHING if value is None else format(value, format_)
