"""Formats: each parses by its own reader and says the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from report_samples import RECORDS, certify_record, gate_of, manifest, queries, run_of

from usncli.errors import ConfigurationError, InputError
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.formats import FORMATS, GATE_FORMATS, write_format


@pytest.mark.parametrize("kind", RECORDS)
@pytest.mark.parametrize("name", ["json", "markdown", "html"])
def test_every_kind_in_every_format(kind: str, name: str, tmp_path: Path) -> None:
    write_format(name, tmp_path / "out", run_of(kind))
    text = (tmp_path / "out").read_text(encoding="utf-8")
    if name == "json":
        record = json.loads(text)
        assert record["kind"] == kind
        assert record["schema_version"] == (2 if kind == "certify" else 1)
        assert record == RECORDS[kind]()
    else:
        assert f"run-{kind}" in text.replace("\\", "")


@pytest.mark.parametrize("kind", sorted(RECORDS.keys() - {"certify"}))
@pytest.mark.parametrize("name", sorted(GATE_FORMATS))
def test_formats_of_a_gate_take_only_certifications(kind: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}: expected the result of usn certify, got one of usn {kind}"):
        write_format(name, tmp_path / "out", run_of(kind))
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"--format json: cannot write .*file/out: .*; name another file"):
        write_format("json", tmp_path / "file" / "out", run_of("score"))


def test_markdown_leads_with_the_verdict() -> None:
    run = FinishedRun(
        "gate", certify_record(queries()[:2]), manifest("certify"), gate=gate_of(certify_record(queries()[:2]), 1.0)
    )
    lines = FORMATS["markdown"](run).splitlines()
    assert lines[0] == "## usn certify: gate"
    assert lines[2].startswith("**FAILED: 1 of 2 queries certified")
    assert "| brightness=0.1 | 1/1 | 100.0% | 0 |" in lines
    assert "    usn certify 'a model.pt' --data images" in lines


def test_unknown_format_suggests(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="unknown format 'htm'; did you mean 'html'"):
        write_format("htm", tmp_path / "x", run_of("score"))
    assert not list(tmp_path.iterdir())
