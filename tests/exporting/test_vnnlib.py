"""Queries for other verifiers ask what we certify: read back by the registry's parser, run by onnxruntime."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import onnx
import pytest
import torch
import vnnlib.compat
from tiny_pipelines import Data
from torch import Tensor, nn

from usncli.certifying.claims import make_claim
from usncli.certifying.options import CertifyOptions, Reference
from usncli.certifying.properties import HeatmapProperty, KeypointProperty, Property
from usncli.errors import ConfigurationError, InputError, NothingToCertifyError, ParityError
from usncli.exporting import QueriesRecord, QueryOptions, VnnlibVersion, export_queries, run_onnx, session
from usncli.exporting.vnnlib.text import VnnlibQuery, decimal, vnnlib_text
from usncli.exporting.vnnlib.violations import Comparison, Output, violations
from usncli.files import sha256_of_file
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Colour, Preprocessing
from usncli.perturbing import PerturbationRange, Pivot, parse_range
from usncli.types import Sample, Task

SIZE = 6
TAU = {Task.CLASSIFICATION: 1.0, Task.KEYPOINTS: 0.3, Task.HEATMAPS: 1.5}
PLAIN = {"Gemm", "MatMul", "Conv", "Relu", "Add", "Sub", "Mul", "Div", "Reshape", "Flatten"}
RANGES = {
    Task.CLASSIFICATION: (
        parse_range("brightness=0.4"),
        parse_range("brightness=-0.1:0.3"),
        parse_range("brightness=0.3,contrast=0.4:1.7", clip=False),
    ),
    Task.KEYPOINTS: (parse_range("brightness=0.3,contrast=0.5:2", pivot=Pivot.MEAN),),
    Task.HEATMAPS: (parse_range("contrast=0.1:3", pivot=Pivot.MEAN), parse_range("contrast=0.9:2.7")),
}


class Box(NamedTuple):
    """What the registry's parser makes of a file."""

    ends: list[tuple[float, float]]
    polytopes: list[tuple[Tensor, Tensor]]

    def violated(self, outputs: Tensor) -> bool:
        return any(bool((matrix @ outputs.double() <= bound).all()) for matrix, bound in self.polytopes)


class Written(NamedTuple):
    pipeline: Pipeline
    data: Data
    folder: Path
    record: QueriesRecord
    rows: list[dict[str, str]]

    @property
    def options(self) -> CertifyOptions:
        return CertifyOptions(tau=TAU[self.pipeline.task])


def parsed(path: Path) -> Box:
    (case,) = vnnlib.compat.transform_to_compat(vnnlib.parse_query_file(str(path)))
    polytopes = [
        (torch.tensor(part.coeff_matrix, dtype=torch.float64), torch.tensor(part.rhs, dtype=torch.float64))
        for part in case.output_constraints
    ]
    return Box([tuple(ends) for ends in case.input_box], polytopes)


def network_of(task: Task) -> nn.Module:
    convolution = nn.Conv2d(3, 4, 3, padding=1)
    if task == Task.HEATMAPS:
        return nn.Sequential(convolution, nn.ReLU(), nn.Conv2d(4, 2, 3, stride=2, padding=1))
    outputs = 4 if task == Task.KEYPOINTS else 3
    return nn.Sequential(convolution, nn.ReLU(), nn.Flatten(), nn.Linear(4 * SIZE * SIZE, outputs))


def made(task: Task, seed: int) -> tuple[Pipeline, Data]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        preprocessing = Preprocessing(SIZE, SIZE, Colour.RGB, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
        pipeline = Pipeline(network_of(task), preprocessing, task).eval()
        samples = [Sample(torch.rand(3, SIZE, SIZE), torch.zeros(0, 3), f"image {index}.png") for index in range(2)]
    return pipeline, Data(samples, task, labelled=False)


def thetas(region: PerturbationRange, count: int = 40) -> Tensor:
    lower, upper = region.corners()
    unit = torch.rand(count, region.dimension, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    return torch.cat([lower[None], upper[None], lower + unit * (upper - lower)])


def our_margins(pipeline: Pipeline, sample: Sample, region: PerturbationRange, claim: Property) -> Tensor:
    images = region.perturbation.expand(sample.image[None], thetas(region).float())
    with torch.no_grad():
        return claim.margins(pipeline(images))


def fails_somewhere_only(pipeline: Pipeline, data: Data) -> bool:
    """Whether the first query has samples at which the property holds, and others at which it fails."""
    claim = make_claim(pipeline, data[0], CertifyOptions(tau=TAU[pipeline.task]), labelled=False)
    margins = our_margins(pipeline, data[0], RANGES[pipeline.task][0], claim)
    return bool((margins > 1e-3).sum() > 3) and bool((margins < -1e-3).sum() > 3)


@pytest.fixture(scope="module", params=list(Task), ids=str)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    task: Task = request.param
    pipeline, data = next(pair for seed in range(200) if fails_somewhere_only(*(pair := made(task, seed))))
    folder = tmp_path_factory.mktemp(str(task))
    options = QueryOptions(CertifyOptions(tau=TAU[task], seconds=90), VnnlibVersion.V2, source_sha256="ab" * 32)
    record = export_queries(pipeline, data, RANGES[task], folder, options)
    with (folder / "queries.csv").open(encoding="utf-8", newline="") as file:
        return Written(pipeline, data, folder, record, list(csv.DictReader(file)))


def queries(written: Written) -> Iterator[tuple[dict[str, str], Sample, PerturbationRange, Property]]:
    regions = {region.label: region for region in RANGES[written.pipeline.task]}
    for row in written.rows:
        sample = written.data[int(row["index"])]
        yield row, sample, regions[row["range"]], make_claim(written.pipeline, sample, written.options, labelled=False)


def test_margins_and_the_violated_set_are_ours(written: Written) -> None:
    signs = set()
    for row, sample, region, claim in queries(written):
        box, opened = parsed(written.folder / row["vnnlib"]), session(written.folder / row["onnx"])
        with torch.no_grad():
            shape = written.pipeline(sample.image[None]).shape
        outputs = torch.cat([run_onnx(opened, theta[None]) for theta in thetas(region)])
        margins, ours = (
            claim.margins(outputs.reshape(-1, *shape[1:])),
            our_margins(written.pipeline, *(sample, region, claim)),
        )
        torch.testing.assert_close(margins, ours, atol=1e-4, rtol=0)
        assert abs(float(margins.min() - ours.min())) < 1e-4
        for output, margin in zip(outputs, ours.tolist(), strict=True):
            if abs(margin) > 1e-4:
                signs.add(margin > 0)
                assert box.violated(output) == (margin < 0)
    assert signs == {True, False}


def test_the_box_is_the_range_to_the_last_bit(written: Written) -> None:
    for row, _, region, _ in queries(written):
        assert parsed(written.folder / row["vnnlib"]).ends == list(zip(region.lower, region.upper, strict=True))


def test_the_folder_is_laid_out_for_the_competition(written: Written) -> None:
    task, record = written.pipeline.task, written.record
    lines = (written.folder / "instances.csv").read_text(encoding="utf-8").splitlines()
    assert lines == [f"{row['onnx']},{row['vnnlib']},90" for row in written.rows]
    assert len(lines) == 2 * len(RANGES[task]) == record.queries
    perturbations = {repr(region.perturbation) for region in RANGES[task]}
    assert len({row["onnx"] for row in written.rows}) == 2 * len(perturbations) == record.networks
    files = [path for path in written.folder.rglob("*") if path.suffix in (".onnx", ".vnnlib")]
    assert sum(path.stat().st_size for path in files) == record.file_bytes
    assert not record.left_out
    assert record.largest_difference < 1e-4


def test_the_table_says_what_each_query_is_about(written: Written) -> None:
    for row, sample, region, claim in queries(written):
        assert row["image"] == sample.name
        assert (row["clip"], row["reference"]) == (str(region.perturbation.clip), "prediction")
        assert row["tau"] == ("" if written.pipeline.task == Task.CLASSIFICATION else str(written.options.tau))
        assert row["network_sha256"] == "ab" * 32
        for name in ("onnx", "vnnlib"):
            assert row[f"{name}_sha256"] == sha256_of_file(written.folder / row[name])
        assert f"; image: {sample.name}\n" in (written.folder / row["vnnlib"]).read_text(encoding="utf-8")
        with torch.no_grad():
            clean = claim.margins(written.pipeline(sample.image[None]))
        assert float(row["clean_margin"]) == pytest.approx(float(clean), abs=1e-5)


def test_networks_hold_plain_operators_and_fixed_shapes(written: Written) -> None:
    for row, _, region, _ in queries(written):
        model = onnx.load(written.folder / row["onnx"])
        assert {node.op_type for node in model.graph.node} <= PLAIN
        for end, size in ((model.graph.input[0], region.dimension), (model.graph.output[0], None)):
            sizes = [part.dim_value for part in end.type.tensor_type.shape.dim]
            assert sizes[0] == 1
            assert len(sizes) == 2
            assert size in (None, sizes[1])


def test_version_1_says_the_same_by_other_names(written: Written) -> None:
    for row, _, region, claim in queries(written):
        with torch.no_grad():
            outputs = written.pipeline(written.data[0].image[None])[0].numel()
        query = VnnlibQuery(region.lower, region.upper, outputs, tuple(violations(claim, outputs)))
        first = vnnlib_text(query, VnnlibVersion.V1)
        declared = re.findall(r"^\(declare-const ([XY]_\d+) Real\)$", first, flags=re.MULTILINE)
        assert declared == [f"X_{index}" for index in range(region.dimension)] + [f"Y_{i}" for i in range(outputs)]
        body = re.sub(r"\b([XY])_(\d+)", r"\1[0,\2]", first[first.index("(assert") :])
        second = (written.folder / row["vnnlib"]).read_text(encoding="utf-8")
        assert second[second.index("(assert") :] == body


def test_a_keypoint_that_does_not_count_is_not_asked_about() -> None:
    claim = KeypointProperty(torch.tensor([[1.0, 2.0], [3.0, 4.0]]).double(), torch.tensor([False, True]), 0.5)
    expected = [(2, ">=", 3.5), (2, "<=", 2.5), (3, ">=", 4.5), (3, "<=", 3.5)]
    assert list(violations(claim, 4)) == [(Comparison(Output(index), *rest),) for index, *rest in expected]


def test_tau_is_never_rounded_to_an_easier_property() -> None:
    generator = torch.Generator().manual_seed(1)
    rounded = 0
    for reference in (torch.rand(200, generator=generator) * 100 - 20).double().tolist():
        point = torch.tensor([[reference, reference]], dtype=torch.float64)
        high, low, *_ = (found[0].right for found in violations(KeypointProperty(point, torch.ones(1) > 0, 0.1), 2))
        exact_high, exact_low = Fraction(reference) + Fraction(0.1), Fraction(reference) - Fraction(0.1)
        assert Fraction(high) <= exact_high < Fraction(math.nextafter(high, math.inf))
        assert Fraction(low) >= exact_low > Fraction(math.nextafter(low, -math.inf))
        rounded += Fraction(high) != exact_high
    assert rounded > 50


@pytest.mark.parametrize("number", [0.1, -0.1, 1 - 0.9, 1e22, 1e-7, 5e-324, 0.0, 3.0, -123456.789e-30, 2.0**-60])
def test_numbers_read_back_to_the_bit(number: float) -> None:
    assert float(decimal(number)) == number
    assert re.fullmatch(r"-?\d+\.\d+", decimal(number))


def test_a_map_without_near_cells_has_no_property() -> None:
    near = torch.zeros(2, 2, 2, dtype=torch.bool)
    near[0, 0, 0] = True
    with pytest.raises(InputError, match="raise tau"):
        list(violations(HeatmapProperty(near), 8))


def test_images_without_a_property_are_named(tmp_path: Path) -> None:
    pipeline, data = made(Task.KEYPOINTS, 0)
    hidden, shown = (torch.cat([torch.ones(2, 2), torch.full((2, 1), float(mark))], dim=1) for mark in (0, 1))
    samples = [data[0]._replace(target=hidden), data[1]._replace(target=shown)]
    options = QueryOptions(CertifyOptions(reference=Reference.LABEL))
    ranges = [parse_range("brightness=0.1")]
    record = export_queries(pipeline, Data(samples, Task.KEYPOINTS), ranges, tmp_path, options)
    assert record.queries == 1
    assert record.left_out == ("image 0.png: no keypoint is visible, so there is nothing to certify",)
    with pytest.raises(NothingToCertifyError, match="no keypoint is visible"):
        export_queries(pipeline, Data(samples[:1], Task.KEYPOINTS), ranges, tmp_path, options)


def test_what_cannot_be_asked_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    pipeline, data = made(Task.KEYPOINTS, 0)
    folder = tmp_path / "queries"
    with pytest.raises(ConfigurationError, match="expected brightness or contrast, got gamma"):
        export_queries(pipeline, data, [parse_range("brightness=0.1"), parse_range("gamma=0.1")], folder)
    options = QueryOptions(CertifyOptions(reference=Reference.LABEL))
    with pytest.raises(InputError, match="labels"):
        export_queries(pipeline, data, [parse_range("brightness=0.1")], folder, options)
    with pytest.raises(NothingToCertifyError, match="at least one image"):
        export_queries(pipeline, data, [], folder)
    assert not folder.exists()
    folder.touch()
    with pytest.raises(InputError, match="got a file"):
        export_queries(pipeline, data, [parse_range("brightness=0.1")], folder)


def test_a_difference_leaves_no_list_of_instances(tmp_path: Path) -> None:
    pipeline, data = made(Task.KEYPOINTS, 0)
    with pytest.raises(ParityError, match="within 0"):
        export_queries(pipeline, data, [parse_range("brightness=0.3")], tmp_path, QueryOptions(tolerance=0.0))
    assert not (tmp_path / "instances.csv").exists()
