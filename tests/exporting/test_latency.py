"""Both networks are timed by turns, and what was cut stands beside the times."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor, nn

from usncli.errors import InputError
from usncli.exporting import DenseNetwork, ExportOptions, measure_latency
from usncli.exporting import latency as module
from usncli.exporting.graph import to_onnx
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Preprocessing
from usncli.types import Task

IMAGES = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(1))


def pipeline_of(channels: int, size: int = 4) -> Pipeline:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = nn.Sequential(nn.Conv2d(3, channels, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))
        network(torch.zeros(1, 3, size, size))
    return Pipeline(network, Preprocessing(size, size), Task.CLASSIFICATION).eval()


@pytest.fixture(scope="module")
def content() -> bytes:
    return to_onnx(pipeline_of(2), IMAGES, ExportOptions()).SerializeToString()


def test_runs_alternate_and_medians_are_taken(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[tuple[int, int]] = []
    clock = [0.0]

    def run(opened: object, images: Tensor) -> Tensor:
        size = len({id(opened), *seen})
        seen.setdefault(id(opened), size)
        order.append((seen[id(opened)], len(images)))
        number = sum(entry == order[-1] for entry in order)
        # The dense network takes 3 s, the exported one 1 s; one run of each is disturbed.
        clock[0] += (3.0 if seen[id(opened)] == 1 else 1.0) + (100.0 if number == 5 else 0.0)
        return images

    seen: dict[int, int] = {}
    monkeypatch.setattr(module, "run_onnx", run)
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    record = measure_latency(pipeline_of(2), content, DenseNetwork(pipeline_of(4)), IMAGES, runs=5)
    assert [(item.batch, item.dense_seconds, item.seconds, item.ratio) for item in record.latencies] == [
        (1, 3.0, 1.0, 3.0),
        (16, 3.0, 1.0, 3.0),
    ]
    assert order == [(1, 1), (2, 1)] * 8 + [(1, 16), (2, 16)] * 8


def test_what_was_cut_stands_beside_the_times(content: bytes) -> None:
    dense = DenseNetwork(pipeline_of(4), "dense.pt", "ab" * 32)
    record = measure_latency(pipeline_of(2), content, dense, IMAGES, runs=1).to_record()
    assert record["dense_multiply_adds"] == 2 * record["multiply_adds"] == 4 * (27 * 4) + 16 * 2
    assert record["multiply_add_ratio"] == 2.0
    assert record["dense_parameters"] == 4 * 28 + 17 * 2
    assert (record["dense"], record["dense_sha256"], record["threads"], record["runs"]) == ("dense.pt", "ab" * 32, 1, 1)
    for item in record["latencies"]:
        assert item["seconds"] > 0
        assert item["ratio"] == item["dense_seconds"] / item["seconds"]


def test_a_network_of_other_images_is_refused(content: bytes) -> None:
    with pytest.raises(InputError, match=r"dense: expected a network of images of shape \(3, 4, 4\), got one of"):
        measure_latency(pipeline_of(2), content, DenseNetwork(pipeline_of(4, size=5)), IMAGES)
