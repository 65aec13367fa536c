"""The page of finished runs: verdict first, then what each run found, then how to reproduce it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from usncli.errors import InputError
from usncli.files import write_text_atomically
from usncli.gating.checks import GateResult
from usncli.reporting.comparison import comparison_section, networks_of
from usncli.reporting.document import Headline, Page, render
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.gallery import images_section
from usncli.reporting.gate_section import gate_section, worst_checks
from usncli.reporting.kinds import KINDS, view_of
from usncli.reporting.reproduce import reproduce_section

PAGE_NAME = "report.html"
LEADING_KIND = "certify"
"""A page with several runs leads with its last one of this kind, where there is one: that is the gate."""
SECTION_ORDER = ("certify", "finetune-prune", "score", "export")
"""Kinds of runs, in the order of their sections."""
CHECKS_SHOWN = 3
"""Checks that did not pass which the headline tells."""
MOST_CHARACTERS = 4_900_000
"""A page stays below 5 MB as long as rows and plots leave room for that; images get what is left."""
PLOTS, QUERY = 500_000, 350
"""What the plots and tables of a page take, and what a query takes in the list of images: characters, generously."""


def report_run(folder: Path) -> Path:
    """Write the page of one run folder into it, and return its path.

    Raises:
        InputError: the folder holds no finished run.
    """
    return report_runs([folder], folder / PAGE_NAME)


def report_runs(folders: Sequence[Path], path: Path) -> Path:
    """Write one page of several run folders.

    Raises:
        InputError: a folder holds no finished run, or there is none.
    """
    write_text_atomically(path, render(page_of([FinishedRun.read(folder) for folder in folders])))
    return path


def write_page(path: Path, records: Sequence[Mapping[str, Any]]) -> Path:
    """Write one page of records alone, without manifests or pictures; see `report_runs` for run folders.

    Raises:
        InputError: a record's kind is not known, or there is no record.
    """
    runs = [FinishedRun(f"{record['kind']} {number}", record) for number, record in enumerate(records, start=1)]
    write_text_atomically(path, render(page_of(runs)))
    return path


def page_of(runs: Sequence[FinishedRun]) -> Page:
    """Return the page of some runs: verdict and gate, what they found, every image, how to reproduce it.

    Raises:
        InputError: there is no run, or a kind is not known.
    """
    if not runs:
        raise InputError("report: expected at least one finished run, got none; name its folder")
    views = {run.kind: view_of(run.kind) for run in runs}
    ordered = sorted(runs, key=lambda run: SECTION_ORDER.index(run.kind))
    certified = [run for run in ordered if run.kind == LEADING_KIND]
    leading = certified[-1] if certified else ordered[-1]
    numbered = list(enumerate(certified, start=1))
    sections = [gate_section(run, number) for number, run in reversed(numbered)]
    sections += [comparison_section(networks_of(ordered))] if len(certified) > 1 else []
    sections += [views[run.kind].section(run) for run in ordered]
    room = room_for_images(certified)
    sections += [images_section(run, number, room) for number, run in numbered]
    sections.append(reproduce_section(sorted(runs, key=lambda run: list(KINDS).index(run.kind))))
    return Page(
        title_of(ordered, leading),
        _headline(views[leading.kind].headline(leading), leading),
        tuple(section for section in sections if section is not None),
        views[leading.kind].key_figures(leading.record),
        subtitle_of(leading),
    )


def room_for_images(certified: Sequence[FinishedRun]) -> int:
    """Return how many characters the images of each certification may take, so that the page stays below its limit."""
    queries = sum(len(run.record["queries"]) for run in certified)
    return max(0, MOST_CHARACTERS - PLOTS - QUERY * queries) // max(1, len(certified))


def _headline(said: Headline, run: FinishedRun) -> Headline:
    """Say of the gate what keeps it from passing, up to a few checks, and leave the rest to its own section."""
    if run.gate is None:
        return said
    *told, whole = run.gate.lines
    closing = [check.line for check in worst_checks(run.gate) if check.result != GateResult.PASSED]
    others = (line for line in said.details if line not in {*told, whole})
    return dataclasses.replace(said, details=(whole, *closing[:CHECKS_SHOWN], *others))


def title_of(runs: Sequence[FinishedRun], leading: FinishedRun) -> str:
    """Name the page after its run, or after the leading one of several."""
    return leading.name if len(runs) == 1 else f"{leading.name} and {len(runs) - 1} more"


def subtitle_of(run: FinishedRun) -> str:
    """Say which command made a run, when and with which version, as far as its manifest knows."""
    manifest = run.manifest or {}
    words = [f"usn {run.kind}"]
    version = manifest.get("versions", {}).get("usncli")
    if version:
        words.append(f"usncli {version}")
    if manifest.get("start"):
        words.append(str(manifest["start"])[:16].replace("T", " ") + " UTC")
    return ", ".join(words)
