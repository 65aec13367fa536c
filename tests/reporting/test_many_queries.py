"""What CI systems take, at 10,000 images under two perturbations."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from lxml import etree
from report_samples import certify_record, judged_run, many_queries

from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.formats import FORMATS
from usncli.reporting.github import SUMMARY_BYTES, append_summary
from usncli.reporting.markdown import table_rows
from usncli.reporting.sarif import MOST_RESULTS

IMAGES = 10_000


def run_over(images: int) -> FinishedRun:
    return judged_run("many", certify_record(many_queries(images)), 0.9)


@pytest.fixture(scope="module")
def many() -> FinishedRun:
    return run_over(IMAGES)


def test_annotations(many: FinishedRun) -> None:
    lines = FORMATS["github"](many).splitlines()
    assert len(lines) == 10
    assert "title=usn certify%3A gate failed" in lines[0]
    assert "the worst 9 of 20,000 that are not certified" in lines[0]


def test_summary(many: FinishedRun, tmp_path: Path) -> None:
    append_summary(tmp_path / "summary.md", many)
    text = (tmp_path / "summary.md").read_text()
    assert SUMMARY_BYTES - 1_000 < len(text.encode()) < SUMMARY_BYTES
    (note,) = [line for line in text.splitlines() if "left out" in line]
    folded = text.partition("<details>")[2].splitlines()
    assert table_rows(folded) + int(note.split()[0].replace(",", "")) == 2 * IMAGES


@pytest.mark.parametrize(("images", "results"), [(IMAGES, 2 * IMAGES), (MOST_RESULTS // 2 + 500, MOST_RESULTS)])
def test_sarif(images: int, results: int) -> None:
    text = FORMATS["sarif"](run_over(images))
    (run,) = json.loads(text)["runs"]
    assert len(run["results"]) == results
    assert len(gzip.compress(text.encode(), compresslevel=1)) < 10 * 1000 * 1000
    told = [entry["message"]["text"] for entry in run["invocations"][0]["toolExecutionNotifications"][1:]]
    left_out = 2 * images - results
    assert told == ([f"{left_out:,} results were left out, the least grave: a file holds 25,000."] if left_out else [])
    order = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    verdicts = [result["ruleId"] for result in run["results"]]
    assert verdicts == sorted(verdicts, key=order.index), "the worst first"


def test_junit(many: FinishedRun) -> None:
    root = etree.fromstring(FORMATS["junit"](many).encode())
    assert [suite.get("tests") for suite in root] == [str(IMAGES)] * 2
    assert len(root.findall(".//testcase")) == 2 * IMAGES
