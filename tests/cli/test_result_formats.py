"""Every format of every kind of result, by the commands: each file is what its readers expect; others are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from published_schemas import check_junit, check_sarif

from usncli.cli.console import Consoles
from usncli.reporting.formats import FORMATS, GATE_FORMATS
from usncli.reporting.schemas import schema_of

RANGE = ("--perturb", "brightness=0.01")
WORDS = {
    "score": (*RANGE, "--samples", "3"),
    "finetune-prune": (*RANGE, "--ratio", "0.3", "--steps", "3", "--batch-size", "2", "--scoring-images", "4"),
    "certify": (*RANGE, "--limit", "3", "--min-certified", "1"),
    "export": ("--limit", "2"),
}


def check_json(name: str, text: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(text)
    Draft202012Validator(schema_of(name)).validate(record)
    return record


@pytest.mark.parametrize("kind", WORDS)
def test_every_format_of_every_kind(usn, place, kind: str) -> None:
    words = (kind, place.network, "--data", place.images, *WORDS[kind], "--out", "run")
    suited = [name for name in FORMATS if kind == "certify" or name not in GATE_FORMATS]
    asked = [word for name in suited for word in ("--format", f"{name}=out/{name}")]
    outcome = usn(*words, *asked)
    assert outcome.code == 0, outcome.err
    texts = {path.name: path.read_text() for path in Path("out").iterdir()}
    assert sorted(texts) == sorted(suited)
    kept = check_json(kind, Path("run/record.json").read_text())
    judged = {"gate": json.loads(Path("run/gate.json").read_text())} if kind == "certify" else {}
    assert check_json(kind, texts["json"]) == kept | judged
    check_json("manifest", Path("run/manifest.json").read_text())
    assert texts["markdown"].startswith(f"## usn {kind}: run\n")
    assert texts["html"].startswith("<!doctype html>")
    if kind == "certify":
        assert len(check_junit(texts["junit"]).findall(".//testcase")) == 3
        assert check_sarif(texts["sarif"])["runs"][0]["properties"]["total"] == 3
        assert texts["github"].startswith("::notice title=usn certify%3A gate passed::3 of 3 images certified")

    for name in FORMATS.keys() - suited:
        refused = usn(*words, "--format", f"{name}=refused")
        assert refused.code == 2
        (line,) = refused.error_lines
        assert line.startswith("error: format: expected one of json, markdown, html, got ")
        assert not Path("refused").exists()


def test_a_step_of_github_actions(usn, place, monkeypatch: pytest.MonkeyPatch) -> None:
    """From black to white everything changes: annotations on stdout, a summary in the step's file, exit code 1."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    words = ("certify", place.network, "--data", place.images, "--perturb", "brightness=-1:1", "--min-certified", "1")
    outcome = usn(*words, "--format", "json=certify.json")
    assert outcome.code == 1, outcome.err
    assert not Path("summary.md").exists(), "not asked for"
    outcome = usn(*words, "--format", "github=-")
    assert outcome.code == 1
    lines = [line for line in outcome.out.splitlines() if line.startswith("::")]
    assert lines[0].startswith("::error title=usn certify%3A gate failed::0 of 6 images certified")
    assert len(lines) == 7
    names = sorted(path.relative_to(place.images).as_posix() for path in place.images.rglob("*.png"))
    assert sorted(line.partition("::")[2].partition("::")[2].partition(":")[0] for line in lines[1:]) == names
    assert all(f"file={place.images.as_posix()}/" in line for line in lines[1:])
    assert Path("summary.md").read_text().startswith("## usn certify: ")
    assert not Path("-").exists()


def test_only_github_is_printed(usn, place) -> None:
    outcome = usn("certify", place.network, "--data", place.images, *RANGE, "--format", "sarif=-")
    assert outcome.code == 2
    (line,) = outcome.error_lines
    assert line.startswith("error: format: expected a file for sarif, since only github can be printed (-), got ")


def test_what_is_printed_is_what_was_said(capsys: pytest.CaptureFixture[str]) -> None:
    text = "::error title=a:smile:b::[bold]" + "x" * 200
    Consoles().line(text)
    assert capsys.readouterr().out == f"{text}\n"
