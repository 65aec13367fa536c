"""GitHub Actions: commands that the runner reads back as they were meant, and a summary that fits."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from report_samples import HOSTILE, certify_record, judged_run, manifest, many_queries, queries

from usncli.errors import InputError
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.github import SUMMARY_BYTES, append_summary, command, step_summary, to_github
from usncli.reporting.markdown import fit, table_rows


class Command(NamedTuple):
    """What the runner makes of a line."""

    name: str
    properties: dict[str, str]
    message: str


def read(line: str) -> Command:
    """Read a command as the runner does: up to the next ``::``, properties by commas, names by the first ``=``."""
    assert line.startswith("::")
    head, _, message = line[2:].partition("::")
    name, _, pairs = head.partition(" ")
    properties = dict(pair.split("=", 1) for pair in pairs.split(","))
    return Command(name, {key: unescape(value) for key, value in properties.items()}, unescape(message))


def unescape(text: str) -> str:
    for code, character in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, character)
    return text


def commands(run: FinishedRun) -> list[Command]:
    return [read(line) for line in to_github(run).splitlines()]


@pytest.mark.parametrize(
    ("kept", "limit", "name", "title"),
    [
        ((0, 5), 1.0, "notice", "usn certify: gate passed"),
        ((0, 3, 5), 0.9, "error", "usn certify: gate failed"),
        ((0, 2, 5), 0.9, "warning", "usn certify: gate inconclusive"),
        ((0, 1), None, "notice", "usn certify"),
    ],
)
def test_the_first_line_is_the_verdict_of_the_gate(
    kept: tuple[int, ...], limit: float | None, name: str, title: str
) -> None:
    found = tuple(queries()[index] for index in kept)
    first = commands(judged_run("r", certify_record(found), limit))[0]
    assert (first.name, first.properties) == (name, {"title": title})
    assert first.message.splitlines()[0].startswith(f"{sum(query.verdict == 'certified' for query in found)} of")
    assert ("gate" in first.message) == (limit is not None) or "makes this a gate" in first.message


def test_then_come_queries_the_worst_first() -> None:
    found = commands(judged_run("r", certify_record(), 0.9))[1:]
    assert [(told.name, told.properties["title"]) for told in found] == [
        ("error", "usn certify: error"),
        ("error", "usn certify: misclassified"),
        ("error", "usn certify: falsified"),
        ("warning", "usn certify: unknown"),
    ]
    assert found[0].message == "images/0003.png: error under brightness=0.1: ZeroDivisionError: division by zero"


def test_below_an_open_gate_there_are_only_notices() -> None:
    found = commands(judged_run("r", certify_record(queries()[:4]), 0.0))
    assert {told.name for told in found} == {"notice"}
    assert len(found) == 4


def test_files_are_those_of_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = "100%: a,b.png"
    (tmp_path / name).touch()
    told = manifest("certify") | {"inputs": {"data": {"location": ".", "sha256": None}}}
    (_, only) = commands(FinishedRun("r", certify_record((queries(name)[1],)), told))
    assert only.properties == {"file": name, "title": "usn certify: falsified"}
    assert only.message.startswith(f"{name}: falsified under brightness=0.05,contrast=0.8:1.3")


def test_no_name_ends_a_command_or_begins_another() -> None:
    name = f"{HOSTILE}::error title=x::\r\n::warning::%0A"
    (line,) = command("error", f"first\n{name}", file=name, title="a:b,c%").splitlines()
    told = read(line)
    assert told.name == "error"
    assert set(told.properties) == {"file", "title"}
    assert told.properties["title"] == "a:b,c%"
    assert told.properties["file"].endswith("::error title=x::\\r\\n::warning::%0A")
    assert told.message.splitlines()[0] == "first"
    assert "\x1b" not in line


def test_a_summary_holds_everything_that_is_not_certified_where_it_fits() -> None:
    few = step_summary(judged_run("few", certify_record(), 0.5))
    assert "<details>" not in few
    assert few.startswith("## usn certify: few\n\n**FAILED: ")
    text = step_summary(FinishedRun("some", certify_record(many_queries(20)), manifest("certify")))
    assert text.count("<details>") == text.count("</details>") == 1
    folded = text.partition("<details>")[2].splitlines()
    assert table_rows(folded) == 40
    assert "left out" not in text


@pytest.mark.parametrize("room", [100, 1_000, 4_000, 8_000, 15_000])
def test_a_summary_is_cut_at_a_row_and_says_how_many_are_missing(room: int) -> None:
    run = FinishedRun("some", certify_record(many_queries(50)), manifest("certify"))
    whole = step_summary(run)
    text = step_summary(run, room)
    assert len(text.encode()) <= room
    if room == 100:
        assert text == ""
        return
    assert text.count("<details>") == text.count("</details>")
    (note,) = [line for line in text.splitlines() if line.endswith("there is no room for them here.")]
    left = int(note.split()[0])
    assert left > 0
    kept = [line for line in text.splitlines() if line.startswith("|")]
    assert set(kept) <= set(whole.splitlines()), "rows are whole"
    if room >= 4_000:  # all headings are within
        assert table_rows(kept) + left == table_rows(whole.splitlines())


def test_what_fits_to_the_byte_is_not_cut() -> None:
    text = "| é |\n" * 100
    assert fit(text, len(text.encode())) == text
    assert "left out" in fit(text, len(text.encode()) - 1)


def test_a_summary_is_appended_below_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    run = FinishedRun("some", certify_record(many_queries(50)), manifest("certify"))
    append_summary(path, run)
    append_summary(path, run)
    assert path.read_text() == f"{step_summary(run)}\n{step_summary(run)}"

    path.write_text("x" * (SUMMARY_BYTES - 5_000))
    append_summary(path, run)
    assert SUMMARY_BYTES - 500 < path.stat().st_size < SUMMARY_BYTES
    assert path.read_text().startswith("xxx")
    assert "more rows of tables are left out" in path.read_text()
    for size in (SUMMARY_BYTES - 1, SUMMARY_BYTES + 10):
        path.write_text("x" * size)
        append_summary(path, run)
        assert path.stat().st_size == size, "there is room for nothing"


def test_a_summary_that_cannot_be_written_is_an_error_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="GITHUB_STEP_SUMMARY: cannot write"):
        append_summary(tmp_path, FinishedRun("r", certify_record(), manifest("certify")))
