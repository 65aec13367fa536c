"""An ONNX file that other tools wrote is certified as the PyTorch network that it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from certificate_samples import RANGES, SIZE, images_of, pipeline_of
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from usncli.certifying import CertificationRecord, CertifyOptions, certify
from usncli.loading.checkpoint import CheckpointSource, load_checkpoint
from usncli.loading.pipeline import Pipeline
from usncli.perturbing import parse_range
from usncli.types import Task

OPTIONS = CertifyOptions(tau=0.06, pieces=300)


def by_old_exporter(network: nn.Module, path: Path) -> None:
    """Write with torch's exporter of TorchScript."""
    torch.onnx.export(
        network,
        (torch.zeros(1, 1, SIZE, SIZE),),
        path,
        dynamo=False,
        input_names=["x"],
        dynamic_axes={"x": {0: "batch"}},
    )


def by_hand(network: nn.Module, path: Path) -> None:
    """Write node by node: convolutions, ReLUs, and a matrix product with its weight the other way round."""
    weights = network.state_dict()
    weights["turned"] = weights.pop("5.weight").T.contiguous()
    nodes = [
        helper.make_node(
            "Conv",
            ["x", "0.weight", "0.bias"],
            ["a"],
            strides=[2, 2],
            pads=[1, 1, 1, 1],
        ),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "2.weight", "2.bias"], ["c"], pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("Flatten", ["d"], ["e"], axis=1),
        helper.make_node("MatMul", ["e", "turned"], ["f"]),
        helper.make_node("Add", ["f", "5.bias"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "by hand",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, SIZE, SIZE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", len(weights["5.bias"])])],
        [numpy_helper.from_array(value.numpy(), name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


@pytest.mark.parametrize("write", [by_old_exporter, by_hand])
@pytest.mark.parametrize("task", [Task.KEYPOINTS, Task.CLASSIFICATION])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_certifies_as_its_twin(write: Callable[[nn.Module, Path], None], task: Task, tmp_path: Path) -> None:
    twin, data, path = pipeline_of(task), images_of(task, 4), tmp_path / "network.onnx"
    write(twin_network(twin), path)
    loaded = load_checkpoint(CheckpointSource(path), twin.preprocessing, task).pipeline
    ranges = [parse_range(text) for text in RANGES]
    here, there = (certify(pipeline, data, ranges, OPTIONS) for pipeline in (twin, loaded))
    assert {"certified", "falsified"} <= {name for name, count in here.counts.items() if count}
    assert verdicts(here) == verdicts(there)
    for mine, other in zip(here.queries, there.queries, strict=True):
        assert mine.margin == pytest.approx(other.margin, abs=1e-4)
        assert mine.certified_fraction == pytest.approx(other.certified_fraction, abs=1e-6)


def twin_network(pipeline: Pipeline) -> nn.Module:
    """The layers before they were captured, with the captured weights."""
    network = nn.Sequential(
        *(nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Flatten()),
        nn.Linear(4 * 16, 4),
    )
    network.load_state_dict(pipeline.network.state_dict())
    return network.eval()


def verdicts(record: CertificationRecord) -> list[str]:
    return [query.verdict.value for query in record.queries]
