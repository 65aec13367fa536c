"""Exported networks compute what PyTorch computes, say what they are, and appear only when that was seen."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from pathlib import Path
from typing import NamedTuple

import onnx
import pytest
import torch
from torch import Tensor, nn

from usncli import zoo
from usncli.errors import ConfigurationError, InputError, ParityError, UnsupportedOperationError
from usncli.exporting import (
    Comparison,
    ExportOptions,
    ExportRecord,
    Provider,
    export,
    read_metadata,
    run_onnx,
    session,
    usable_providers,
)
from usncli.exporting.parity import largest_difference, require_parity
from usncli.files import sha256_of_file
from usncli.loading.capture import capture
from usncli.loading.checkpoints.onnx_network import load_onnx
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import KeypointUnits, Preprocessing
from usncli.types import Task

PROVENANCE = {"source_sha256": "ab" * 32, "label_names": '["nose", "tail"]', "certified": '{"rate": 0.9}'}


class Case(NamedTuple):
    network: nn.Module
    task: Task
    size: int


class ResidualStem(nn.Module):
    """The parts of a ResNet: a max-pool whose stride is not its kernel, and a sum of two paths."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.block = nn.Sequential(nn.Conv2d(4, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 6)

    def forward(self, images: Tensor) -> Tensor:
        features = self.pool(self.stem(images))
        return self.head(torch.relu(features + self.block(features)).mean(dim=(2, 3)))


class Exported(NamedTuple):
    pipeline: Pipeline
    path: Path
    record: ExportRecord


def shake_batch_norms(network: nn.Module) -> nn.Module:
    """Give batch norms statistics that a graph which ignored them would get wrong."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.5, 2.0)
    return network.eval()


def cases() -> dict[str, Case]:
    return {
        "cnn7": Case(zoo.cnn7(outputs=6, size=32, width=0.125), Task.KEYPOINTS, 32),
        "residual with max-pool": Case(ResidualStem(), Task.KEYPOINTS, 32),
        "heatmaps, upsampled": Case(zoo.heatmap_network(keypoints=3, width=0.25), Task.HEATMAPS, 32),
        "classifier": Case(zoo.classifier(classes=4, width=0.25), Task.CLASSIFICATION, 32),
    }


NAMES = tuple(cases())


def images_of(size: int, batch: int, seed: int = 1) -> Tensor:
    return torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(seed))


def pipeline_of(name: str) -> Pipeline:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network, task, size = cases()[name]
        network = shake_batch_norms(network)
    network = capture(network, images_of(size, 2))
    return Pipeline(network, Preprocessing(size, size, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3)), task).eval()


def tiny_pipeline() -> Pipeline:
    """The quickest to export; for tests that are not about the network."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
    return Pipeline(network, Preprocessing(4, 4, mean=(0.5,), std=(0.25,)), Task.CLASSIFICATION).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")


@pytest.fixture(scope="module")
def exported(folder: Path) -> dict[str, Exported]:
    found = {}
    for name in NAMES:
        pipeline = pipeline_of(name)
        path = folder / f"{name}.onnx"
        record = export(pipeline, path, images_of(32, 5), provenance=PROVENANCE)
        found[name] = Exported(pipeline, path, record)
    return found


@pytest.fixture(scope="module")
def raw(folder: Path) -> Exported:
    pipeline = pipeline_of("cnn7")
    path = folder / "raw.onnx"
    options = ExportOptions(include_preprocessing=False, opset=20)
    return Exported(pipeline, path, export(pipeline, path, images_of(32, 3), options))


@pytest.fixture(scope="module")
def tiny(folder: Path) -> Exported:
    pipeline, path = tiny_pipeline(), folder / "tiny.onnx"
    return Exported(pipeline, path, export(pipeline, path, images_of(4, 2)))


@pytest.mark.parametrize("name", NAMES)
def test_any_batch_size_agrees_with_pytorch(exported: dict[str, Exported], name: str) -> None:
    pipeline, path, _ = exported[name]
    for batch in (1, 3, 7):
        images = images_of(32, batch, seed=batch)
        with torch.no_grad():
            expected = pipeline(images)
        torch.testing.assert_close(run_onnx(path, images), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_one_valid_file_with_named_ends(exported: dict[str, Exported], name: str) -> None:
    pipeline, path, record = exported[name]
    model = onnx.load(path, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert [entry.name for entry in model.graph.input] == ["images"]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    expected = {"keypoints": "keypoints", "heatmaps": "heatmaps", "classification": "logits"}[pipeline.task]
    assert [entry.name for entry in model.graph.output] == [expected] == [record.output_name]
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer)
    assert str(Path(__file__).parents[2]) not in path.read_bytes().decode("latin-1")


@pytest.mark.parametrize("name", NAMES)
def test_record_holds_the_evidence(exported: dict[str, Exported], name: str) -> None:
    pipeline, path, record = exported[name]
    on_cpu = [comparison.batch for comparison in record.comparisons if comparison.provider == Provider.CPU]
    assert on_cpu == [1, 5]
    assert 0 <= record.largest_difference <= record.tolerance
    assert record.sha256 == sha256_of_file(path)
    assert record.file_bytes == path.stat().st_size
    weights = sum(parameter.numel() for parameter in pipeline.network.parameters())
    assert 0.8 * weights <= record.parameters <= 1.2 * weights + 100
    assert json.loads(json.dumps(record.to_record()))["largest_difference"] == record.largest_difference


def test_metadata_reads_back(exported: dict[str, Exported], raw: Exported) -> None:
    pipeline, path, record = exported["cnn7"]
    found = read_metadata(path)
    assert found == dict(record.metadata)
    assert {key: found[key] for key in PROVENANCE} == PROVENANCE
    assert found["task"] == "keypoints"
    assert json.loads(found["preprocessing_included"]) is True
    assert found["keypoint_units"] == KeypointUnits.PIXEL
    assert Preprocessing.from_record(json.loads(found["preprocessing"])) == pipeline.preprocessing
    assert json.loads(read_metadata(raw.path)["preprocessing_included"]) is False
    assert read_metadata(raw.path)["keypoint_units"] == KeypointUnits.CENTRED


def test_preprocessing_in_and_out_agree(exported: dict[str, Exported], raw: Exported) -> None:
    pipeline, inside, _ = exported["cnn7"]
    images = images_of(32, 4)
    normalised = (images - pipeline.mean) / pipeline.std
    outputs = run_onnx(raw.path, normalised)
    assert raw.record.output_name == "raw_keypoints"
    assert outputs.shape == (4, 6)
    torch.testing.assert_close(pipeline.decode(outputs), run_onnx(inside, images), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(pipeline.decode(run_onnx(raw.path, images)), run_onnx(inside, images), atol=1e-2)


def test_opset_is_the_chosen_one(exported: dict[str, Exported], raw: Exported) -> None:
    assert onnx.load(exported["cnn7"].path).opset_import[0].version == 18
    assert onnx.load(raw.path).opset_import[0].version == 20 == raw.record.opset


def test_float16_weights_are_another_network_that_reads_back_exactly(tiny: Exported, folder: Path) -> None:
    path, images = folder / "float16.onnx", images_of(4, 5)
    record = export(tiny.pipeline, path, images, ExportOptions(float16=True))
    assert "no certificate" in read_metadata(path)["float16"]
    assert "float16" not in read_metadata(tiny.path)
    assert tiny.record.float16_change is None
    changed, source = run_onnx(path, images), run_onnx(tiny.path, images)
    assert record.float16_change == pytest.approx(float((changed - source).abs().max()), abs=1e-6)
    assert record.float16_change > 1e-5
    weights = [tensor for tensor in onnx.load(path).graph.initializer if tensor.data_type == tensor.FLOAT16]
    originals = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(tiny.path).graph.initializer}
    assert len(weights) == 2
    for tensor in weights:
        original = originals[tensor.name.removesuffix(".float16")]
        assert (onnx.numpy_helper.to_array(tensor) == original.astype("float16")).all()
    network, _ = load_onnx(path, images)
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())
    with torch.no_grad():
        torch.testing.assert_close(network(images), changed, atol=1e-6, rtol=1e-6)


def test_a_weight_beyond_float16_is_refused(tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    with torch.no_grad():
        pipeline.network[3].weight[0, 0] = 7e4
        pipeline.network[0].bias.fill_(-10.0)
    with pytest.raises(InputError, match="beyond its range"):
        export(pipeline, tmp_path / "model.onnx", images_of(4, 2), ExportOptions(float16=True))
    assert not list(tmp_path.iterdir())


def test_training_mode_and_double_precision_export_as_float32_eval(folder: Path) -> None:
    pipeline = tiny_pipeline().double().train()
    before = copy.deepcopy(pipeline.state_dict())
    path = folder / "double.onnx"
    record = export(pipeline, path, images_of(4, 1))
    assert {comparison.batch for comparison in record.comparisons} == {1, 2}
    assert pipeline.training
    assert pipeline.mean.dtype == torch.float64
    assert all(torch.equal(value, before[name]) for name, value in pipeline.state_dict().items())
    outputs = run_onnx(path, images_of(4, 3))
    assert outputs.dtype == torch.float32
    expected = pipeline.eval()(images_of(4, 3).double())
    torch.testing.assert_close(outputs.double(), expected, atol=1e-4, rtol=1e-4)


def test_same_network_same_bytes(tiny: Exported, folder: Path) -> None:
    again = export(tiny_pipeline(), folder / "again.onnx", images_of(4, 2))
    assert again.sha256 == tiny.record.sha256


def test_pruned_network_is_smaller(tiny: Exported, folder: Path) -> None:
    convolution, relu, flatten, linear = copy.deepcopy(tiny.pipeline.network).children()
    with torch.no_grad():
        convolution.weight, convolution.bias = (nn.Parameter(old[:3]) for old in convolution.parameters())
        linear.weight = nn.Parameter(linear.weight[:, :12])
    pruned = Pipeline(
        nn.Sequential(convolution, relu, flatten, linear), tiny.pipeline.preprocessing, tiny.pipeline.task
    )
    record = export(pruned, folder / "pruned.onnx", images_of(4, 2))
    assert tiny.record.parameters - record.parameters == 28 + 12  # a 3x3x3 filter with its bias, and 3x4 weights
    assert record.file_bytes < tiny.record.file_bytes


def test_parity_failure_leaves_files_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"the release of last week")
    with pytest.raises(ParityError, match=r"agree within 0, got a largest difference of .*no file was written"):
        export(pipeline_of("classifier"), path, images_of(32, 4), ExportOptions(tolerance=0.0))
    assert path.read_bytes() == b"the release of last week"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.onnx"]


class OtherWhenTraced(nn.Module):
    """Computes one thing in PyTorch and another once it is traced."""

    def forward(self, images: Tensor) -> Tensor:
        shift = 1.0 if torch.compiler.is_exporting() else 0.0
        return images.mean(dim=(2, 3)) + shift


def test_a_graph_that_computes_something_else_is_refused(tmp_path: Path) -> None:
    pipeline = Pipeline(OtherWhenTraced(), Preprocessing(4, 4), Task.CLASSIFICATION)
    with pytest.raises(ParityError, match=r"largest difference of 1"):
        export(pipeline, tmp_path / "model.onnx", images_of(4, 2))
    assert not list(tmp_path.iterdir())


def test_outputs_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    with torch.no_grad():
        next(pipeline.network.parameters()).fill_(float("nan"))
    with pytest.raises(InputError, match="check its weights"):
        export(pipeline, tmp_path / "model.onnx", images_of(4, 2))
    assert not list(tmp_path.iterdir())


class BatchOfTwo(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.reshape(2, -1)[:, :4]


class NoOnnxForm(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.linalg.eigvals(images[:, 0]).real


@pytest.mark.parametrize("network", [BatchOfTwo(), NoOnnxForm()], ids=["fixed batch", "no ONNX form"])
def test_what_onnx_cannot_say_is_one_line(network: nn.Module, tmp_path: Path) -> None:
    pipeline = Pipeline(network, Preprocessing(4, 4), Task.CLASSIFICATION)
    with pytest.raises(UnsupportedOperationError) as caught:
        export(pipeline, tmp_path / "model.onnx", images_of(4, 2))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert not list(tmp_path.iterdir())


def test_bad_arguments() -> None:
    pipeline = Pipeline(nn.Flatten(), Preprocessing(4, 4), Task.CLASSIFICATION)
    with pytest.raises(InputError, match=r"\(batch, 3, 4, 4\), got \(1, 3, 5, 4\)"):
        export(pipeline, Path("x.onnx"), torch.zeros(1, 3, 5, 4))
    with pytest.raises(InputError, match="finite"):
        export(pipeline, Path("x.onnx"), torch.full((1, 3, 4, 4), float("nan")))
    with pytest.raises(InputError, match="got a folder"):
        export(pipeline, Path(), torch.zeros(1, 3, 4, 4))
    with pytest.raises(ConfigurationError, match="opset: expected 14 to 25, got 9"):
        ExportOptions(opset=9)
    with pytest.raises(ConfigurationError, match="tolerance"):
        ExportOptions(tolerance=float("nan"))


def test_provenance_cannot_overwrite_what_the_exporter_knows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="task is written by the exporter"):
        export(tiny_pipeline(), tmp_path / "model.onnx", images_of(4, 2), provenance={"task": "keypoints"})
    assert not list(tmp_path.iterdir())


def test_nothing_reaches_the_user_and_filters_stay(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    filters = list(warnings.filters)
    handlers = [(handler, list(handler.filters)) for handler in logging.getLogger("torch").handlers]
    export(tiny_pipeline(), tmp_path / "model.onnx", images_of(4, 2), ExportOptions(opset=17))
    fixed = Pipeline(BatchOfTwo(), Preprocessing(4, 4), Task.CLASSIFICATION)
    with pytest.raises(UnsupportedOperationError):
        export(fixed, tmp_path / "fixed.onnx", images_of(4, 2))
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")
    assert warnings.filters == filters
    assert all(handler.filters == before for handler, before in handlers)
    assert onnx.load(tmp_path / "model.onnx").opset_import[0].version == 17


def test_run_onnx_names_what_is_wrong(exported: dict[str, Exported], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected an ONNX file, found none"):
        run_onnx(tmp_path / "missing.onnx", images_of(32, 1))
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(exported["cnn7"].path.read_bytes()[:1000])
    with pytest.raises(InputError, match="onnxruntime can run"):
        session(broken)
    with pytest.raises(InputError, match="images: expected shape"):
        run_onnx(exported["cnn7"].path, images_of(16, 1))


def test_single_thread_gives_the_same_bits(exported: dict[str, Exported]) -> None:
    images = images_of(32, 6)
    opened = session(exported["heatmaps, upsampled"].path, threads=1)
    assert torch.equal(run_onnx(opened, images), run_onnx(exported["heatmaps, upsampled"].path, images))


def test_cuda_is_tried_only_where_there_is_a_gpu() -> None:
    assert usable_providers()[0] == Provider.CPU
    assert (Provider.CUDA in usable_providers()) <= torch.cuda.is_available()


def test_parity_judges_every_comparison() -> None:
    fine = Comparison(Provider.CPU, 1, 1e-6)
    require_parity([fine], 1e-5)
    with pytest.raises(ParityError, match="batch 7"):
        require_parity([fine, Comparison(Provider.CPU, 7, 2e-5)], 1e-5)
    with pytest.raises(ParityError, match="no provider"):
        require_parity([], 1e-5)
    assert largest_difference(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])) == 2.0
    assert largest_difference(torch.zeros(2), torch.zeros(3)) != largest_difference(torch.zeros(2), torch.zeros(3))
