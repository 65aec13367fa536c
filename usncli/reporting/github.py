"""A certification for GitHub Actions: annotations as workflow commands, and the summary of a step."""

from __future__ import annotations

from pathlib import Path

from usncli.certifying.verdicts import Verdict
from usncli.errors import InputError
from usncli.reporting.document import Status
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.kinds import view_of
from usncli.reporting.kinds.certify import WORST_SHOWN, queries_table
from usncli.reporting.kinds.queries import GATE_LEVELS, LEVELS, not_certified, sentence
from usncli.reporting.locations import locate
from usncli.reporting.markdown import fit, to_markdown
from usncli.reporting.table import printable

MOST_ANNOTATIONS = 10
"""Annotations of one level that GitHub keeps of a step; we write no more of all levels together."""

SUMMARY_BYTES = 1024 * 1024
"""GitHub drops the whole summary of a step that exceeds this."""

_COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}
"""GitHub's words for levels."""


def to_github(run: FinishedRun) -> str:
    """Return workflow commands, one a line: how the gate stands, then what is not certified, the worst first.

    There are at most `MOST_ANNOTATIONS`. Where the gate passed, nothing is worse than a notice.
    """
    said, find = view_of(run.kind).headline(run), locate(run)
    worst = not_certified(run.record["queries"])
    shown = worst[: MOST_ANNOTATIONS - 1]
    told = [said.text, *said.details]
    if len(shown) < len(worst):
        told.append(f"Annotated: the worst {len(shown)} of {len(worst):,} that are not certified.")
    title = "usn certify" if said.status == Status.INFORMATION else f"usn certify: gate {said.status}"
    lines = [command(GATE_LEVELS[said.status], "\n".join(told), title=title)]
    for query in shown:
        level = "note" if said.status == Status.PASSED else LEVELS[Verdict(query["verdict"])]
        path = find(query["image"])
        file = {} if path is None else {"file": path.as_posix()}
        lines.append(command(level, sentence(query), **file, title=f"usn certify: {query['verdict']}"))
    return "\n".join(lines) + "\n"


def command(level: str, message: str, **properties: str) -> str:
    """Return one workflow command, escaped as the runner reads it.

    Args:
        level: error, warning or note.
        message: may have several lines.
        properties: such as file and title.
    """
    told = "\n".join(printable(line) for line in message.split("\n"))
    pairs = [f"{name}={_escape(printable(value), ':,')}" for name, value in properties.items()]
    return f"::{_COMMANDS[level]} {','.join(pairs)}::{_escape(told)}"


def step_summary(run: FinishedRun, room: int = SUMMARY_BYTES - 1) -> str:
    """Return the result as Markdown with every query that is not certified, cut to ``room`` bytes at a whole line."""
    worst = not_certified(run.record["queries"])
    text = to_markdown(run)
    if len(worst) > WORST_SHOWN:
        every = queries_table(f"Not certified: all {len(worst):,}", worst).to_markdown()
        text += f"\n<details><summary>Everything that is not certified</summary>\n\n{every}\n</details>\n"
    return fit(text, room)


def append_summary(path: Path, run: FinishedRun) -> None:
    """Append the summary to the file that ``GITHUB_STEP_SUMMARY`` names, which stays below `SUMMARY_BYTES`.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        with path.open("ab") as file:
            between = "\n" if file.tell() else ""
            text = step_summary(run, SUMMARY_BYTES - 1 - file.tell() - len(between))
            file.write((between + text if text else "").encode())
    except OSError as error:
        raise InputError(f"GITHUB_STEP_SUMMARY: cannot write {path}: {error.strerror}; unset it") from error


def _escape(text: str, also: str = "") -> str:
    for character in f"%\r\n{also}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text
