"""JUnit XML: a case an image and perturbation, and what the published schema asks for."""

from __future__ import annotations

import pytest
from lxml import etree
from published_schemas import check_junit
from report_samples import HOSTILE, certify_record, gate_of, manifest, queries, run_of

from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.junit import to_junit


def test_a_case_an_image_and_perturbation() -> None:
    root = check_junit(to_junit(run_of("certify")))
    record = certify_record()
    suites = {suite.get("name"): suite for suite in root}
    assert set(suites) == {"brightness=0.1", "brightness=0.05,contrast=0.8:1.3"}
    totals = [tuple(suite.get(name) for name in ("tests", "failures", "errors")) for suite in suites.values()]
    assert totals == [("3", "1", "1"), ("3", "2", "0")]
    cases = {(case.get("classname"), case.get("name")): case for case in root.iter("testcase")}
    assert len(cases) == len(record["queries"])
    for query in record["queries"]:
        case = cases[f"usn.certify.{query['perturbation']}", query["image"]]
        assert case.get("time") == f"{query['seconds']:.3f}"
        outcome = [(child.tag, child.get("type")) for child in case]
        expected = {"certified": [], "error": [("error", "error")]}
        assert outcome == expected.get(query["verdict"], [("failure", query["verdict"])])


def test_suites_say_when_and_what_was_claimed() -> None:
    first = check_junit(to_junit(run_of("certify")))[0]
    assert first.get("timestamp") == "2026-11-21T19:20:00"
    properties = {entry.get("name"): entry.get("value") for entry in first.iter("property")}
    assert properties == {"run": "run-certify", "certified": "1/3", "claim": "what certified claims"}


def test_suites_say_how_the_gate_stands() -> None:
    record = certify_record()
    gate = gate_of(record, 0.1)
    assert gate is not None
    root = check_junit(to_junit(FinishedRun("r", record, manifest("certify"), gate=gate)))
    for suite in root:
        told = [entry.get("value") for entry in suite.iter("property") if entry.get("name") == "gate"]
        assert tuple(told) == gate.lines


def test_any_name_is_taken() -> None:
    root = check_junit(to_junit(FinishedRun(HOSTILE, certify_record(queries(HOSTILE)), manifest("certify"))))
    assert any('<script>alert("x")</script>' in str(case.get("name")) for case in root.iter("testcase"))


def test_the_schema_is_no_formality() -> None:
    """Without a manifest nobody knows when it was, and the schema wants to know."""
    with pytest.raises(etree.DocumentInvalid, match="timestamp"):
        check_junit(to_junit(FinishedRun("r", certify_record())))
