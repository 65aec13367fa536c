"""The benchmark of what networks of other people's shapes cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from usncli import zoo
from usncli.bounding.method import Arithmetic
from usncli.certifying import unsupported_operations
from usncli.loading.capture import capture
from usncli.types import Task


@pytest.mark.parametrize("name", ["efficientnet, 4 stages", "u-net"])
def test_its_networks_can_be_certified(load: Callable[[str], Any], name: str) -> None:
    architecture = load("architectures").ARCHITECTURES[name]
    network: nn.Module = architecture.make().eval()
    images = torch.zeros(2, 3, 64, 64)
    outputs = (2, 8, 32, 32) if architecture.task == Task.HEATMAPS else (2, 16)
    with torch.no_grad():
        assert network(images).shape == outputs
    assert not unsupported_operations(capture(network, images), images)


def test_a_cost_is_of_the_queries_asked(
    load: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    architectures, module = load("architectures"), load("certify_cost")
    tiny = architectures.Architecture(lambda: zoo.cnn7(width=0.25), Task.KEYPOINTS, 1, "brightness=0.001")
    monkeypatch.setitem(module.ARCHITECTURES, "tiny", tiny)
    settings = module.Settings(module.Source(None, tmp_path, images=8), images=2, limit=20.0, threads=None)
    line = module.cost("tiny", Arithmetic.REAL, settings)
    assert sum(line.verdicts.values()) == 2
    assert (line.network, line.arithmetic, line.perturbation) == ("tiny", "real", "brightness=0.001")
    assert line.passes > 0
    assert line.seconds > 0
    assert line.peak > 1e8
    assert line.verdicts != {"certified": 2} or line.largest_range == 1.0
