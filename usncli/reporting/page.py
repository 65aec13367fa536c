"""The page of finished runs: verdict first, then what each run found, then how to reproduce it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from usncli.errors import InputError
from usncli.files import write_text_atomically
from usncli.reporting.comparison import comparison_section, networks_of
from usncli.reporting.document import Headline, KeyFigure, Page, Section, render
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.kinds import KINDS, view_of
from usncli.reporting.reproduce import reproduce_section

PAGE_NAME = "report.html"
LEADING_KIND = "certify"
"""A page with several runs leads with its last one of this kind, where there is one: that is the gate."""


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
    """Return the page of some runs, in the order of the work: score, prune, certify, export.

    Raises:
        InputError: there is no run, or a kind is not known.
    """
    if not runs:
        raise InputError("report: expected at least one finished run, got none; name its folder")
    views = {run.kind: view_of(run.kind) for run in runs}
    ordered = sorted(runs, key=lambda run: list(KINDS).index(run.kind))
    certified = [run for run in ordered if run.kind == LEADING_KIND]
    leading = certified[-1] if certified else ordered[-1]
    sections = [views[run.kind].section(run) for run in ordered]
    if len(certified) > 1:
        sections.insert(0, comparison_section(networks_of(ordered)))
    last = reproduce_section(ordered)
    headline: Headline = views[leading.kind].headline(leading)
    figures: tuple[KeyFigure, ...] = views[leading.kind].key_figures(leading.record)
    every: tuple[Section, ...] = (*sections, last) if last else tuple(sections)
    return Page(title_of(ordered, leading), headline, every, figures, subtitle_of(leading))


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
