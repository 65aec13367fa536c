"""The script that asks whether what ships is what was certified."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from certificate_samples import images_of, pipeline_of

from usncli.certificates.record import CheckRecord, Outcome
from usncli.types import Task

ARGUMENTS = ["--images", "2", "--samples", "20", "--networks", "tiny"]


@pytest.fixture
def shipped(load: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    module, pipeline = load("shipped"), pipeline_of(Task.KEYPOINTS)
    subject = load("subjects").Subject("tiny", pipeline.network, pipeline, images_of(Task.KEYPOINTS, 2), 0.06)
    monkeypatch.setattr(module, "SUBJECTS", {"tiny": lambda source: subject})
    monkeypatch.setattr(module, "RANGES", {"tiny": ("brightness=0.05", "brightness=0.4")})
    return module


def test_it_says_what_it_saw(shipped: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert shipped.main(ARGUMENTS) == 0
    said = capsys.readouterr().out
    assert "2 certified, 2 falsified" in said
    assert f"all confirmed; {2 * 22 + 2} images run by onnxruntime" in said
    assert "4 queries in 6 files, 0 of them wrong" in said


def test_a_contradiction_fails_it(shipped: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(record: CheckRecord, *others: object) -> CheckRecord:
        return replace(record, findings=(record.findings[0]._replace(outcome=Outcome.REFUSED, reason="it fails"),))

    monkeypatch.setattr(shipped, "replay", refuse)
    assert shipped.main(ARGUMENTS) == 1
