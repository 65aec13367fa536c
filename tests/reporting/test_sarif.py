"""SARIF: valid by the published schema, worst first, tracked from run to run, within code scanning's limits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from published_schemas import check_sarif
from report_samples import HOSTILE, certify_record, judged_run, manifest, queries

from usncli.certifying.verdicts import QueryRecord, Verdict
from usncli.reporting import sarif
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.kinds.queries import LEVELS


def written(found: tuple[QueryRecord, ...] | None = None, told: Any = None) -> dict[str, Any]:
    run = judged_run("run", certify_record(found), 0.5)
    run = run if told is None else replace(run, manifest=told)
    (only,) = check_sarif(sarif.to_sarif(run))["runs"]
    return only


def test_a_result_a_query_that_is_not_certified_the_worst_first() -> None:
    run = written()
    told = [(result["ruleId"], result["level"], result["message"]["text"]) for result in run["results"]]
    assert told == [
        ("error", "error", "images/0003.png: error under brightness=0.1: ZeroDivisionError: division by zero"),
        (
            "misclassified",
            "error",
            "images/0002.png: misclassified under brightness=0.05,contrast=0.8:1.3: already wrong without perturbation",
        ),
        (
            "falsified",
            "error",
            "images/0001.png: falsified under brightness=0.05,contrast=0.8:1.3: fails at brightness 0.0123, contrast "
            "1.234",
        ),
        (
            "unknown",
            "warning",
            "images/0002.png: unknown under brightness=0.1: proved: brightness=-0.05:0.1 (75.0% of the range)",
        ),
    ]
    assert run["results"][2]["properties"] == {
        "perturbation": "brightness=0.05,contrast=0.8:1.3",
        "witness": [0.0123, 1.2345],
        "margin": -0.125,
        "passes": 70.0,
    }


def test_a_rule_a_verdict_that_is_not_certified() -> None:
    run = written()
    rules = run["tool"]["driver"]["rules"]
    assert {rule["id"] for rule in rules} == set(Verdict) - {Verdict.CERTIFIED}
    assert {rule["id"]: rule["defaultConfiguration"]["level"] for rule in rules} == LEVELS
    for rule in rules:
        assert all(rule[part]["text"] for part in ("shortDescription", "fullDescription", "help"))
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]


def test_the_run_says_how_the_gate_stands() -> None:
    run = written()
    (invocation,) = run["invocations"]
    (told,) = invocation["toolExecutionNotifications"]
    assert told["level"] == "error"
    assert told["message"]["text"].startswith("2 of 6 queries certified")
    assert "inconclusive: certified rate, brightness=0.1: 1 of 3 certified" in told["message"]["text"]
    assert invocation["commandLine"] == "usn certify 'a model.pt' --data images"
    assert invocation["startTimeUtc"] == "2026-11-21T19:20:00.123Z"
    assert run["automationDetails"]["id"] == "usn/certify/a model.pt/"
    assert run["tool"]["driver"]["version"] == "0.1.0"
    assert run["properties"]["counts"] == certify_record()["counts"]


def test_a_run_without_a_manifest_is_valid_too() -> None:
    check_sarif(sarif.to_sarif(FinishedRun("r", certify_record())))


def test_fingerprints_are_of_image_and_perturbation_alone() -> None:
    def marks(run: dict[str, Any]) -> dict[tuple[str, str], str]:
        return {
            (
                result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"],
                result["properties"]["perturbation"],
            ): (result["partialFingerprints"]["primaryLocationLineHash"])
            for result in run["results"]
        }

    first = marks(written())
    assert len(set(first.values())) == len(first) == 4
    again = [replace(query, verdict=Verdict.UNKNOWN, margin=0.0, seconds=1.0) for query in reversed(queries())]
    second = marks(written(tuple(again), manifest("certify", model="cd" * 32)))
    assert len(set(second.values())) == 6
    assert first.items() <= second.items()


def test_braces_are_no_placeholders() -> None:
    (result,) = written((QueryRecord("a.png", 0, "brightness=0.1", Verdict.ERROR, message="KeyError: {0}"),))["results"]
    assert result["message"]["text"].endswith("KeyError: {{0}}")


def test_what_is_beyond_the_limit_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "MOST_RESULTS", 3)
    run = written()
    assert [result["ruleId"] for result in run["results"]] == ["error", "misclassified", "falsified"]
    told = run["invocations"][0]["toolExecutionNotifications"]
    assert [entry["message"]["text"] for entry in told[1:]] == [
        "1 results were left out, the least grave: a file holds 3."
    ]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout, in whose folder ``work`` a command runs."""
    for folder in (".git", "work", "data/images"):
        (tmp_path / "checkout" / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "checkout" / "work")
    return tmp_path / "checkout"


def place(image: str, data: str, model: str = "model.pt") -> dict[str, str]:
    """Return where a result about an image of that name lies."""
    told = manifest("certify")
    told["inputs"] = {"data": {"location": data, "sha256": None}, "model": {"location": model, "sha256": None}}
    (result,) = written((queries(image)[1],), told)["results"]
    found: dict[str, str] = result["locations"][0]["physicalLocation"]["artifactLocation"]
    return found


def test_images_are_named_from_the_root_of_the_checkout(checkout: Path) -> None:
    for name in ("plain.png", "images/a b%:é.png"):
        (checkout / "data" / name).touch()
    (checkout / "data" / "labels.json").touch()
    relative = {"uriBaseId": "%SRCROOT%"}
    assert place("plain.png", "../data") == {"uri": "data/plain.png", **relative}
    assert place("plain.png", str(checkout / "data")) == {"uri": "data/plain.png", **relative}
    assert place("a b%:é.png", "../data/labels.json") == {"uri": "data/images/a%20b%25%3A%C3%A9.png", **relative}
    assert place("a b%:é.png#1", "../data/labels.json") == {"uri": "data/images/a%20b%25%3A%C3%A9.png", **relative}


def test_images_outside_of_the_checkout_are_named_in_full(checkout: Path) -> None:
    image = checkout.parent / "elsewhere" / "a.png"
    image.parent.mkdir()
    image.touch()
    assert place("a.png", str(image.parent)) == {"uri": image.as_uri()}


def test_images_that_are_no_files_have_the_file_that_holds_them_or_the_networks(checkout: Path) -> None:
    (checkout / "data.npz").touch()
    (checkout / "work" / "model.pt").touch()
    relative = {"uriBaseId": "%SRCROOT%"}
    assert place("images[3]", "../data.npz") == {"uri": "data.npz", **relative}
    assert place("3", "my.data:make") == {"uri": "work/model.pt", **relative}
    assert place(HOSTILE, "my.data:make", "gone.pt")["uri"].startswith("%3Cscript%3E")


def test_json_is_plain(checkout: Path) -> None:
    """What a terminal or a parser may choke on is escaped."""
    text = sarif.to_sarif(FinishedRun(HOSTILE, certify_record(queries(HOSTILE)), manifest("certify")))
    assert text.isascii()
    assert "\\u001b" not in text
    assert json.loads(text)["version"] == "2.1.0"
