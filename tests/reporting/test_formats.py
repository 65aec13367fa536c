"""Formats: each parses by its own reader and says the same."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from report_samples import HOSTILE, RECORDS, certify_record, gate_of, manifest, queries, run_of

from usncli.errors import ConfigurationError
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.formats import FORMATS, write_format


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


def test_junit_has_a_case_an_image_and_perturbation() -> None:
    root = ElementTree.fromstring(FORMATS["junit"](run_of("certify")))
    record = certify_record()
    assert root.get("tests") == "6"
    assert (root.get("failures"), root.get("errors")) == ("3", "1")
    suites = {suite.get("name"): suite for suite in root}
    assert set(suites) == {"brightness=0.1", "brightness=0.05,contrast=0.8:1.3"}
    cases = {(case.get("classname"), case.get("name")): case for case in root.iter("testcase")}
    assert len(cases) == len(record["queries"])
    for query in record["queries"]:
        case = cases[f"usn.certify.{query['perturbation']}", query["image"]]
        assert case.get("time") == f"{query['seconds']:.3f}"
        outcome = [(child.tag, child.get("type")) for child in case]
        expected = {"certified": [], "error": [("error", "error")]}
        assert outcome == expected.get(query["verdict"], [("failure", query["verdict"])])


def test_junit_takes_any_name_and_only_certifications() -> None:
    run = FinishedRun(HOSTILE, certify_record(queries(HOSTILE)), manifest("certify"))
    names = {case.get("name") for case in ElementTree.fromstring(FORMATS["junit"](run)).iter("testcase")}
    assert any('<script>alert("x")</script>' in str(name) for name in names)
    with pytest.raises(ConfigurationError, match="expected the result of usn certify, got one of usn score"):
        FORMATS["junit"](run_of("score"))


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
