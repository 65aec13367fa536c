from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from certificate_samples import Issued, issued

from usncli.bounding.method import Engine
from usncli.certificates.check import CheckOptions, check
from usncli.certificates.record import CheckRecord, Outcome
from usncli.errors import CertificateError
from usncli.exporting.export import export
from usncli.exporting.graph import ExportOptions
from usncli.exporting.replay import replay
from usncli.loading.pipeline import Pipeline
from usncli.types import Task

SAMPLES = 50


@pytest.fixture(scope="module", params=list(Task))
def confirmed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Issued, CheckRecord]:
    given = issued(tmp_path_factory.mktemp("replay"), request.param)
    return given, check(given.path, given.network, given.data, CheckOptions(engine=Engine.USN))


def write_onnx(given: Issued, path: Path) -> Path:
    images = torch.stack([sample.image for sample in given.data.samples])
    export(given.pipeline, path, images, ExportOptions(include_preprocessing=False))
    return path


def test_onnxruntime_contradicts_nothing_that_is_true(confirmed: tuple[Issued, CheckRecord], tmp_path: Path) -> None:
    given, record = confirmed
    tried = replay(record, write_onnx(given, tmp_path / "network.onnx"), given.pipeline, given.data, SAMPLES)
    assert tried.findings == record.findings
    verdicts = [finding.verdict for finding in record.findings if finding.outcome == Outcome.CONFIRMED]
    assert {"certified", "falsified"} <= set(verdicts)
    corners = sum(
        2**region.dimension
        for region in given.ranges
        for finding in record.findings
        if (finding.perturbation, finding.verdict) == (region.label, "certified")
    )
    assert tried.replayed == SAMPLES * verdicts.count("certified") + corners + verdicts.count("falsified")


def test_a_file_that_computes_something_else_is_found_out(
    confirmed: tuple[Issued, CheckRecord], tmp_path: Path
) -> None:
    given, record = confirmed
    path = write_onnx(given, tmp_path / "network.onnx")
    # The file, normalised another way than what was checked: a hundred times as sensitive, or not at all.
    preprocessing = given.pipeline.preprocessing
    for scale, verdict in ((0.01, "certified"), (1e6, "falsified")):
        std = tuple(scale * value for value in preprocessing.std)
        pipeline = Pipeline(given.pipeline.network, replace(preprocessing, std=std), given.pipeline.task)
        tried = replay(record, path, pipeline, given.data, SAMPLES)
        refused = [finding for finding in tried.findings if finding.outcome == Outcome.REFUSED]
        assert verdict in {finding.verdict for finding in refused}
        assert all((finding.reason or "").startswith("in onnxruntime it ") for finding in refused)


def test_the_same_seed_tries_the_same(confirmed: tuple[Issued, CheckRecord], tmp_path: Path) -> None:
    given, record = confirmed
    path = write_onnx(given, tmp_path / "network.onnx")
    assert replay(record, path, given.pipeline, given.data, 3, seed=1) == replay(
        record, path, given.pipeline, given.data, 3, seed=1
    )


def test_another_certificate_than_the_one_checked_is_refused(
    confirmed: tuple[Issued, CheckRecord], tmp_path: Path
) -> None:
    given, record = confirmed
    with pytest.raises(CertificateError, match="expected the certificate that was checked"):
        replay(
            replace(record, sha256="0" * 64),
            write_onnx(given, tmp_path / "network.onnx"),
            *(given.pipeline, given.data, SAMPLES),
        )
