from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, fx, nn

from usncli.errors import InputError, UnsupportedOperationError
from usncli.files import sha256_of_file
from usncli.loading.capture import capture
from usncli.loading.network_file import METADATA_KEY, load_network, read_safetensors, save_network
from usncli.loading.operations import layer_name
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Preprocessing
from usncli.types import Task

Captured = Callable[[str], fx.GraphModule]
PREPROCESSING = Preprocessing(16, 16, mean=(0.5, 0.4, 0.3), std=(0.2,))
TASKS = {"small": Task.CLASSIFICATION, "residual": Task.KEYPOINTS, "mobile": Task.KEYPOINTS, "unet": Task.HEATMAPS}


def pipeline_of(network: nn.Module, task: Task = Task.KEYPOINTS) -> Pipeline:
    return Pipeline(network, PREPROCESSING, task).eval()


@pytest.fixture
def saved(captured: Captured, tmp_path: Path) -> Path:
    path = tmp_path / "network.safetensors"
    save_network(path, pipeline_of(captured("mobile")), {"ratio": 0.2})
    return path


@pytest.mark.parametrize("name", TASKS)
def test_comes_back_the_same(name: str, captured: Captured, images: Tensor, tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    pipeline = pipeline_of(captured(name), TASKS[name])
    save_network(path, pipeline, {"cut": ["0"], "ratio": 0.2})
    loaded = load_network(path)
    assert torch.equal(loaded.pipeline(images), pipeline(images))
    assert loaded.pipeline.preprocessing == PREPROCESSING
    assert loaded.pipeline.task == TASKS[name]
    assert loaded.record == {"cut": ["0"], "ratio": 0.2}
    assert not loaded.pipeline.training
    names = [layer_name(node) for node in captured(name).graph.nodes]
    assert [layer_name(node) for node in loaded.pipeline.network.graph.nodes] == names


def test_the_same_network_gives_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    again = tmp_path / "again" / "network.safetensors"
    loaded = load_network(saved)
    save_network(again, loaded.pipeline, loaded.record)
    assert sha256_of_file(again) == sha256_of_file(saved)


def test_trains_on_with_the_same_parameters_and_buffers(saved: Path, captured: Captured, images: Tensor) -> None:
    network = load_network(saved).pipeline.network.train()
    original = captured("mobile")
    assert {name for name, _ in network.named_parameters()} == {name for name, _ in original.named_parameters()}
    assert {name for name, _ in network.named_buffers()} == {name for name, _ in original.named_buffers()}
    network(images).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_cut_network_comes_back_cut(captured: Captured, images: Tensor, tmp_path: Path) -> None:
    network = copy.deepcopy(captured("small"))
    with torch.no_grad():
        for name, axis in (("0", 0), ("1", 0)):
            layer = network.get_submodule(name)
            for part, tensor in list(layer.state_dict().items()):
                if tensor.dim():
                    kept = tensor.narrow(axis, 0, 5).clone()
                    setattr(layer, part, nn.Parameter(kept) if part in ("weight", "bias") else kept)
        network.get_submodule("0").out_channels = network.get_submodule("1").num_features = 5
        last = network.get_submodule("6")
        last.weight, last.in_features = nn.Parameter(last.weight[:, : 5 * 64].clone()), 5 * 64
    path = tmp_path / "cut.safetensors"
    save_network(path, pipeline_of(network), {})
    assert torch.equal(load_network(path).pipeline.network(images), network(images))


def test_infinite_arguments_and_other_types_survive(tmp_path: Path, images: Tensor) -> None:
    class Masked(nn.Module):
        def forward(self, features: Tensor) -> Tensor:
            masked = features.masked_fill(features > 0.5, float("-inf"))
            return torch.clamp(masked, min=-1.0).double().float().flatten(1)

    network = capture(Masked(), images)
    path = tmp_path / "network.safetensors"
    save_network(path, pipeline_of(network), {})
    assert torch.equal(load_network(path).pipeline.network(images), network(images))


def test_refuses_what_was_not_captured(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOperationError, match="expected a captured network, got Linear"):
        save_network(tmp_path / "network.safetensors", pipeline_of(nn.Linear(2, 2)), {})
    assert list(tmp_path.iterdir()) == []


def rewrite(path: Path, change: Callable[[dict[str, Any], dict[str, Tensor]], None]) -> None:
    tensors, metadata = read_safetensors(path)
    header = json.loads(metadata[METADATA_KEY])
    change(header, tensors)
    save_file(tensors, path, {METADATA_KEY: json.dumps(header)})


def node_of(header: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(node for node in header["graph"] if node["kind"] == kind)


INJECTION = "x'); open('ran', 'w'); ('"
CHANGES: dict[str, tuple[Callable[[dict[str, Any], dict[str, Tensor]], Any], str]] = {
    "version": (lambda header, _: header.update(format=99), "version 99; expected 1"),
    "unknown call": (lambda header, _: node_of(header, "call").update(target="from_file.default"), "from_file"),
    "in-place call": (lambda header, _: node_of(header, "call").update(target="relu_.default"), "relu_"),
    "python call": (lambda header, _: node_of(header, "call").update(target="os.system"), "os.system"),
    "unknown kind": (lambda header, _: node_of(header, "call").update(kind="method"), "unknown node"),
    "unknown layer class": (lambda header, _: header["layers"]["norm"].update(kind="Module"), "is a Module"),
    "unknown layer argument": (
        lambda header, _: header["layers"]["norm"]["arguments"].update(device="cuda"),
        "unexpected arguments",
    ),
    "layer not described": (lambda header, _: header["layers"].pop("prelu"), "belongs to no layer"),
    "code in a name": (lambda header, _: node_of(header, "call").update(name=INJECTION), "bad or double name"),
    "code in the input": (lambda header, _: node_of(header, "input").update(name=INJECTION), "bad or double name"),
    "code in a target": (lambda header, _: node_of(header, "layer").update(target=INJECTION), "unknown node"),
    "code in a tensor": (lambda header, _: header["tensors"].update({INJECTION: "buffer"}), "no name of one"),
    "code in an argument": (
        lambda header, _: node_of(header, "call").update(kwargs={"self=print(1), b": 1}),
        "arguments that it does not have",
    ),
    "hidden method": (lambda header, _: header["tensors"].update({"forward": "buffer"}), "no name of one"),
    "unknown value": (lambda header, _: node_of(header, "call").update(args=[{"eval": "1"}]), "unknown value"),
    "no output": (lambda header, _: header["graph"].pop(), "one input and one output"),
    "wrong arguments": (lambda header, _: node_of(header, "call").update(args=[[1, 2]]), "does not run"),
    "no task": (lambda header, _: header.pop("task"), "does not describe a network"),
    "missing tensor": (lambda _, tensors: tensors.pop("norm.weight"), "norm.weight is missing"),
    "wrong shape": (
        lambda _, tensors: tensors.update({"norm.weight": torch.ones(3)}),
        r"norm.weight has shape \(3,\), expected \(8,\)",
    ),
    "tensor too many": (lambda _, tensors: tensors.update(more=torch.ones(1)), "more belongs to no layer"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_file_is_refused_in_one_line_and_runs_nothing(
    name: str, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, message = CHANGES[name]
    rewrite(saved, change)
    monkeypatch.chdir(saved.parent)
    with pytest.raises(InputError, match=message) as caught:
        load_network(saved)
    assert "\n" not in str(caught.value)
    assert str(saved) in str(caught.value)
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_damaged_and_foreign_files_are_refused(saved: Path, tmp_path: Path) -> None:
    whole = saved.read_bytes()
    damaged = tmp_path / "damaged.safetensors"
    for content in (whole[:-10], whole[:100], b"", b"text"):
        damaged.write_bytes(content)
        with pytest.raises(InputError, match="not a whole safetensors file"):
            load_network(damaged)
    save_file(load_file(saved), damaged)
    with pytest.raises(InputError, match="expected a network written by usn, got tensors alone"):
        load_network(damaged)
