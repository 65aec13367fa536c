"""A model card says what was certified, on what, and what was not, and only of the network that is exported."""

from __future__ import annotations

from typing import Any

import pytest
from report_samples import certify_record, export_record, manifest, score_record

from usncli.errors import InputError
from usncli.reporting.card import model_card
from usncli.reporting.finished_run import FinishedRun

SOURCE = "ab" * 32


def export_of(**changes: Any) -> dict[str, Any]:
    record = export_record()
    record["metadata"] |= {"source_sha256": SOURCE, "label_names": '["nose", "tail"]'}
    return record | changes


def certified_run(model: str = SOURCE, **settings: Any) -> FinishedRun:
    record = certify_record()
    record["settings"] |= settings
    stated = manifest("certify", model)
    stated["inputs"]["data"] = {"location": "images/test.json", "sha256": "cd" * 32}
    stated["settings"] |= {"clip": {"value": True, "origin": "default"}, "pivot": {"value": "mean", "origin": "flag"}}
    return FinishedRun("a run", record, stated)


def section(card: str, title: str) -> str:
    return card.split(f"## {title}\n")[1].split("\n## ")[0]


def test_it_says_what_was_certified_and_on_what() -> None:
    certified = section(model_card(export_of(), certified_run()), "What was certified")
    assert "What certified claims." in certified
    for text in ("brightness=0.1", "images/test.json", "cd" * 32, "mean", "usn certify", "| arithmetic | real |"):
        assert text in certified


def test_it_says_what_was_not() -> None:
    record = certify_record()
    missing = section(model_card(export_of(), certified_run()), "What was not certified")
    assert f"Of the {record['total']:,} queries: " in missing
    for verdict, number in record["counts"].items():
        assert (f"{number} {verdict}" in missing) == (number > 0 and verdict != "certified")
    assert "exact arithmetic" in missing
    assert "predictions are right" in missing


@pytest.mark.parametrize(
    ("settings", "words"), [({"arithmetic": "float32"}, "exact arithmetic"), ({"reference": "label"}, "are right")]
)
def test_what_was_certified_is_not_said_to_be_missing(settings: dict[str, str], words: str) -> None:
    assert words not in section(model_card(export_of(), certified_run(**settings)), "What was not certified")


def test_without_a_run_nothing_is_claimed() -> None:
    card = model_card(export_of(preprocessing_included=False), None)
    assert section(card, "What was certified").strip().startswith("Nothing that is known here")
    assert "certified rate" not in card.lower()
    assert "it is not in the graph" in section(card, "What was not certified")


def test_file_and_measurements_are_stated() -> None:
    latencies = [{"batch": 1, "dense_seconds": 0.004, "seconds": 0.002, "ratio": 2.0}]
    latency = {"dense": "dense.pt", "dense_multiply_adds": 300, "multiply_adds": 100, "multiply_add_ratio": 3.0}
    card = model_card(export_of(latency=latency | {"threads": 1, "runs": 41, "latencies": latencies}), None)
    assert card.startswith("# Model card: pose.onnx\n")
    assert "5f" * 32 in card
    assert SOURCE in card
    measured = section(card, "What was measured")
    assert "7.60e-06" in measured
    assert "| 1 | 4.000 | 2.000 | 2.00 |" in measured
    assert "3.00 times the multiply-adds" in measured


def test_a_run_on_the_exported_file_itself_counts() -> None:
    assert "What certified claims" in model_card(export_of(), certified_run(export_record()["sha256"]))


def test_float16_weights_need_a_run_on_the_file_itself() -> None:
    rounded = export_of(float16_change=0.01)
    assert "whatever is known of its source" in section(model_card(rounded, None), "What was not certified")
    assert "What certified claims" in model_card(rounded, certified_run(rounded["sha256"]))
    with pytest.raises(InputError, match="certify the ONNX file and name that run"):
        model_card(rounded, certified_run())


def test_a_run_on_another_network_is_refused() -> None:
    with pytest.raises(InputError, match=f"that is exported .SHA-256 {SOURCE}., got one on eeee"):
        model_card(export_of(), certified_run("ee" * 32))
    with pytest.raises(InputError, match="got one of usn score"):
        model_card(export_of(), FinishedRun("scores", score_record(), manifest("score", SOURCE)))
