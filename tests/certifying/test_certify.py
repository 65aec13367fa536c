"""Runs: empty ones, misclassified and crashing queries, records, the journal and a kill."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_pipelines import Data, grey_pipeline, linear_of_pixels, one_image
from torch import fx, nn

from usncli.bounding.method import Engine
from usncli.certifying import (
    CertificationRecord,
    CertifyOptions,
    Reference,
    Verdict,
    certify,
    engines,
)
from usncli.certifying.journal import Journal
from usncli.certifying.unstable import unstable_relus
from usncli.certifying.verdicts import QueryRecord
from usncli.errors import ConfigurationError, InputError, NothingToCertifyError, UnsupportedOperationError
from usncli.loading.pipeline import Pipeline
from usncli.perturbing import parse_range
from usncli.progress import ProgressUpdate
from usncli.types import Sample, Task

RANGES = [parse_range("brightness=0.05"), parse_range("contrast=0.1")]


def pipeline_of_one_pixel(bias: float = 0.3) -> Pipeline:
    return grey_pipeline(linear_of_pixels([[0.0, 0.0], [1.0, 0.0]], [bias, 0.0]), (1, 2), Task.CLASSIFICATION)


def data(count: int = 3) -> Data:
    samples = [
        Sample(torch.tensor([[[0.1 + 0.1 * index, 0.6]]]), torch.tensor(0), f"{index}.png") for index in range(count)
    ]
    return Data(samples, Task.CLASSIFICATION)


def test_nothing_to_certify() -> None:
    with pytest.raises(NothingToCertifyError, match="image"):
        certify(pipeline_of_one_pixel(), data(0), RANGES)
    with pytest.raises(NothingToCertifyError, match="perturb"):
        certify(pipeline_of_one_pixel(), data(), [])


def test_a_wrong_label_is_misclassified_and_counts() -> None:
    wrong = one_image(torch.tensor([[[0.1, 0.6]]]), torch.tensor(1))
    record = certify(pipeline_of_one_pixel(), wrong, RANGES[:1], CertifyOptions(reference=Reference.LABEL))
    assert record.queries[0].verdict == Verdict.MISCLASSIFIED
    assert record.certified_rate == 0
    assert certify(pipeline_of_one_pixel(), wrong, RANGES[:1]).queries[0].verdict == Verdict.CERTIFIED


def test_a_tie_at_the_identity_fails() -> None:
    tie = one_image(torch.tensor([[[0.5, 0.6]]]), torch.tensor(0))
    pipeline = grey_pipeline(linear_of_pixels([[0.0, 0.0], [1.0, 0.0]], [0.5, 0.0]), (1, 2), Task.CLASSIFICATION)
    assert certify(pipeline, tie, RANGES[:1]).queries[0].verdict == Verdict.MISCLASSIFIED


def test_a_crash_is_an_error() -> None:
    broken = data()
    broken.samples[1] = Sample(torch.rand(1, 3, 3), torch.tensor(0), "broken.png")
    record = certify(pipeline_of_one_pixel(), broken, RANGES[:1])
    assert [query.verdict for query in record.queries][1] == Verdict.ERROR
    assert record.queries[1].message
    assert record.queries[0].verdict == Verdict.CERTIFIED


def test_a_rewriting_that_computes_something_else_certifies_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = engines.rewrite

    def wrong(network: fx.GraphModule, *arguments: object) -> fx.GraphModule:
        return exact(pipeline_of_one_pixel(bias=0.31).network, *arguments)

    monkeypatch.setattr(engines, "rewrite", wrong)
    record = certify(pipeline_of_one_pixel(), data(1), RANGES[:1])
    assert record.queries[0].verdict == Verdict.ERROR
    assert "rewritten network differs" in (record.queries[0].message or "")


def test_an_interrupt_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("usncli.certifying.hunt.search", interrupted)
    with pytest.raises(KeyboardInterrupt):
        certify(pipeline_of_one_pixel(), data(), RANGES)


def test_what_cannot_be_bounded_ends_the_run_before_it_begins(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 2), nn.Softmax(dim=1))
    pipeline = grey_pipeline(network, (1, 2), Task.CLASSIFICATION)
    with pytest.raises(UnsupportedOperationError, match="softmax"):
        certify(pipeline, data(), RANGES, journal=tmp_path / "journal")
    assert not (tmp_path / "journal").exists()


def test_records_read_back() -> None:
    record = certify(pipeline_of_one_pixel(), data(), RANGES, CertifyOptions(unstable_images=1))
    written = json.loads(json.dumps(record.to_record(), allow_nan=False))
    without_partitions = tuple(replace(query, partition=None) for query in record.queries)
    assert CertificationRecord.from_record(written) == replace(record, queries=without_partitions)
    assert written["total"] == 6
    assert sum(written["counts"].values()) == 6
    assert set(record.unstable_relus) == {region.label for region in RANGES}
    with pytest.raises(ValueError, match="schema"):
        CertificationRecord.from_record({**written, "schema_version": 99})


def without_times(record: CertificationRecord) -> list[QueryRecord]:
    return [replace(query, seconds=0.0) for query in record.queries]


@pytest.mark.parametrize("setting", [{"tau": 0}, {"seconds": float("nan")}, {"pieces": 0}, {"dtype": "float16"}])
def test_options(setting: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        CertifyOptions(**setting)  # type: ignore[arg-type]


def test_unstable_relus_are_those_that_cross() -> None:
    class Steps(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.relu(images.flatten(1) - torch.tensor([0.25, 5.0]))

    # The first ReLU crosses zero at b = 0.053 only, in one of 100 pieces; the second never does.
    pipeline = grey_pipeline(Steps(), (1, 2), Task.CLASSIFICATION)
    count = unstable_relus(pipeline, torch.tensor([[[[0.197, 0.6]]]]), parse_range("brightness=0.1"))
    assert count == pytest.approx(0.01)


@pytest.mark.parametrize("engine", [Engine.USN, Engine.LIRPA])
def test_unstable_relus_are_told_by_layer(engine: Engine) -> None:
    class TwoLayers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(2, 3), nn.Linear(3, 2)
            with torch.no_grad():
                self.first.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]))
                self.first.bias.copy_(torch.tensor([-0.25, -5.0, -0.25]))
                self.second.weight.copy_(torch.tensor([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]))
                self.second.bias.copy_(torch.tensor([1.0, 0.0317]))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.second(torch.relu(self.first(images.flatten(1)))))

    # The first layer's first and third cross at b = 0.053, the second's second at b = 0.0847: each within one of 100
    # pieces of the wider range, and beyond the narrower one.
    pipeline = grey_pipeline(TwoLayers(), (1, 2), Task.CLASSIFICATION)
    shown = one_image(torch.tensor([[[0.197, 0.6]]]), torch.tensor(0))
    ranges = [parse_range("brightness=0.1"), parse_range("brightness=0.05")]
    record = certify(pipeline, shown, ranges, CertifyOptions(unstable_images=1, engine=engine))
    assert [(layer.layer, layer.relus) for layer in record.relu_layers] == [("first", 3), ("second", 2)]
    first, second = (dict(layer.unstable) for layer in record.relu_layers)
    assert first == pytest.approx({"brightness=0.1": 0.02, "brightness=0.05": 0.0})
    assert second == pytest.approx({"brightness=0.1": 0.01, "brightness=0.05": 0.0})
    assert record.unstable_relus == pytest.approx({"brightness=0.1": 0.03, "brightness=0.05": 0.0})
    assert record.relus == 5


def test_layers_are_named_where_nothing_is_counted() -> None:
    record = certify(pipeline_of_one_pixel(), data(1), RANGES[:1])
    assert record.unstable_relus == {}
    assert all(layer.unstable == {} for layer in record.relu_layers)
    assert record.relus == sum(layer.relus for layer in record.relu_layers)


def test_records_without_layers_are_still_read() -> None:
    written = certify(pipeline_of_one_pixel(), data(1), RANGES[:1]).to_record()
    del written["relu_layers"]
    assert CertificationRecord.from_record(written).relu_layers == ()


def test_journal_resumes_and_drops_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "run" / "journal.jsonl"
    full = certify(pipeline_of_one_pixel(), data(), RANGES, journal=path)
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 1 + 6
    path.write_bytes(b"".join(lines[:4]) + lines[4][:20])
    seen: list[int] = []

    def listen(update: ProgressUpdate) -> None:
        seen.append(update.done)

    again = certify(pipeline_of_one_pixel(), data(), RANGES, journal=path, progress=listen)
    assert seen == [4, 5, 6]
    assert without_times(again) == without_times(full)


def test_journal_of_another_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    certify(pipeline_of_one_pixel(), data(), RANGES[:1], journal=path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="other settings"):
        certify(pipeline_of_one_pixel(), data(), RANGES, journal=path)
    with pytest.raises(InputError, match="other settings"):
        certify(pipeline_of_one_pixel(), data(2), RANGES[:1], journal=path)
    assert path.read_bytes() == before
    path.write_text("a picture of a cat\n")
    with pytest.raises(InputError, match="expected a journal"):
        certify(pipeline_of_one_pixel(), data(), RANGES, journal=path)
    assert path.read_text() == "a picture of a cat\n"


WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from usncli.certifying.journal import Journal
from usncli.certifying.verdicts import QueryRecord, Verdict
with Journal(Path(sys.argv[1]), "mark") as journal:
    for index in range(10**9):
        journal.append(index, QueryRecord(str(index), index, "brightness=0.1", Verdict.CERTIFIED))
        print(index, flush=True)
"""


def test_a_kill_loses_at_most_one_query(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(5)]
        writer.send_signal(signal.SIGKILL)
        told += [int(line) for line in writer.stdout.read().split("\n")[:-1]]
    with Journal(path, "mark") as journal:
        kept = [record.index for record in journal.finished.values()]
    assert kept[: len(told)] == told
    assert len(kept) <= len(told) + 1
