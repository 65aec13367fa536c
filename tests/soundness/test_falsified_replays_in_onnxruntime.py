"""A falsified verdict's witness makes the exported file fail, too."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_pipelines import Data, captured, sampled_batch_norm
from torch import nn

from usncli import zoo
from usncli.certifying import CertifyOptions, Verdict, certify
from usncli.certifying.claims import make_claim
from usncli.exporting.export import export
from usncli.exporting.runtime import run_onnx
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Preprocessing
from usncli.perturbing import parse_range
from usncli.types import Sample, Task

SIZE = 16
NETWORKS = {
    Task.CLASSIFICATION: (lambda: zoo.classifier(classes=3, size=SIZE, width=0.25), "brightness=0.4"),
    Task.KEYPOINTS: (lambda: zoo.cnn7(outputs=4, size=SIZE, width=0.25), "contrast=0.5"),
    Task.HEATMAPS: (lambda: zoo.heatmap_network(keypoints=2, width=0.25), "brightness=0.2,contrast=0.4"),
}
OPTIONS = CertifyOptions(tau=0.1, seconds=5, pieces=50)


def pipeline_for(network: nn.Module, task: Task) -> Pipeline:
    shape = (3, SIZE, SIZE)
    return Pipeline(
        captured(sampled_batch_norm(network, shape), shape), Preprocessing(SIZE, SIZE, std=(0.2,)), task
    ).eval()


def images_of(task: Task) -> Data:
    target = torch.tensor(0) if task == Task.CLASSIFICATION else torch.full((2, 3), 2.0)
    generator = torch.Generator().manual_seed(3)
    samples = [Sample(torch.rand(3, SIZE, SIZE, generator=generator), target, f"{index}.png") for index in range(6)]
    return Data(samples, task, labelled=False)


@pytest.mark.parametrize("task", list(NETWORKS))
def test_witnesses_fail_in_onnxruntime(task: Task, tmp_path: Path) -> None:
    torch.manual_seed(0)
    make, text = NETWORKS[task]
    pipeline, data, region = pipeline_for(make(), task), images_of(task), parse_range(text)
    record = certify(pipeline, data, [region], OPTIONS)
    falsified = [query for query in record.queries if query.verdict == Verdict.FALSIFIED]
    assert falsified, record.counts
    path = tmp_path / "network.onnx"
    export(pipeline, path, torch.stack([sample.image for sample in data.samples]))
    for query in falsified:
        sample = data[query.index]
        theta = torch.tensor([query.witness], dtype=torch.float64)
        image = region.perturbation(sample.image.unsqueeze(0), theta)
        claim = make_claim(pipeline, sample, OPTIONS, labelled=False)
        assert float(claim.margins(run_onnx(path, image))[0]) <= 0
        assert float(claim.margins(run_onnx(path, sample.image.unsqueeze(0)))[0]) > 0
