from __future__ import annotations

from pathlib import Path
from typing import Any

import loading_networks
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from usncli.errors import ConfigurationError, InputError, UnsupportedOperationError
from usncli.files import sha256_of_file
from usncli.loading.checkpoint import CheckpointSource, LoadedCheckpoint, load_checkpoint
from usncli.loading.checkpoints.kinds import CheckpointKind
from usncli.loading.network_file import save_network
from usncli.loading.preprocessing import Colour, Preprocessing
from usncli.types import Task

PREPROCESSING = Preprocessing(16, 16)
ARCH = "loading_networks:small"


def load(path: Path, task: Task = Task.CLASSIFICATION, **options: Any) -> LoadedCheckpoint:
    return load_checkpoint(CheckpointSource(path, **options), PREPROCESSING, task)


@pytest.fixture
def weights() -> dict[str, Tensor]:
    return loading_networks.randomise(loading_networks.small(), seed=7).state_dict()


@pytest.fixture
def expected(weights: dict[str, Tensor], images: Tensor) -> Tensor:
    network = loading_networks.small().eval()
    network.load_state_dict(weights)
    with torch.no_grad():
        return network(images)


def test_weights_go_into_their_architecture(
    weights: dict[str, Tensor], expected: Tensor, images: Tensor, tmp_path: Path
) -> None:
    path = tmp_path / "weights.pt"
    torch.save(weights, path)
    loaded = load(path, arch=ARCH)
    torch.testing.assert_close(loaded.pipeline.network(images), expected)
    assert loaded.kind == CheckpointKind.WEIGHTS
    assert loaded.sha256 == sha256_of_file(path)
    assert loaded.notes == ()
    assert loaded.record == {}
    assert loaded.pipeline.preprocessing == PREPROCESSING
    assert not loaded.pipeline.training


def test_safetensors_and_the_old_format_of_torch_load_too(
    weights: dict[str, Tensor], expected: Tensor, images: Tensor, tmp_path: Path
) -> None:
    save_file(weights, tmp_path / "weights.safetensors")
    torch.save(weights, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name, kind in (("weights.safetensors", CheckpointKind.SAFETENSORS), ("old.pth", CheckpointKind.WEIGHTS)):
        loaded = load(tmp_path / name, arch=ARCH)
        assert loaded.kind == kind
        torch.testing.assert_close(loaded.pipeline.network(images), expected)


def test_the_architecture_may_lie_in_the_working_directory(
    weights: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "from loading_networks import small\n\ndef network(outputs=3):\n    return small(outputs)\n"
    (tmp_path / "users_own_code.py").write_text(code)
    torch.save(weights, tmp_path / "weights.pt")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    loaded = load(tmp_path / "weights.pt", arch="users_own_code:network", arch_arguments={"outputs": "4"})
    assert loaded.pipeline(torch.zeros(1, 3, 16, 16)).shape == (1, 4)


def test_a_residual_network_of_torchvision(tmp_path: Path) -> None:
    network = loading_networks.randomise(torchvision.models.resnet18(num_classes=4), seed=3).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, generator=torch.Generator().manual_seed(2))
    torch.save({"model": network.state_dict(), "epoch": 3}, tmp_path / "resnet.pt")
    source = CheckpointSource(
        tmp_path / "resnet.pt", arch="torchvision.models:resnet18", arch_arguments={"num_classes": 4}
    )
    loaded = load_checkpoint(source, Preprocessing(64, 64), Task.KEYPOINTS)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(loaded.pipeline.network(images), network(images), rtol=1e-5, atol=1e-5)
    assert isinstance(loaded.pipeline.network.get_submodule("layer2.0.downsample.1"), nn.BatchNorm2d)
    assert loaded.notes == ("took the weights under 'model'",)


def test_what_usn_wrote_brings_its_own_settings(captured: Any, tmp_path: Path) -> None:
    from usncli.loading.pipeline import Pipeline

    path = tmp_path / "network.safetensors"
    save_network(path, Pipeline(captured("small"), PREPROCESSING, Task.KEYPOINTS).eval(), {"ratio": 0.2})
    loaded = load_checkpoint(CheckpointSource(path), None, None)
    assert loaded.kind == CheckpointKind.USN
    assert loaded.record == {"ratio": 0.2}
    assert loaded.pipeline.task == Task.KEYPOINTS
    assert load_checkpoint(CheckpointSource(path), PREPROCESSING, Task.KEYPOINTS).sha256 == loaded.sha256
    with pytest.raises(
        InputError, match=r"differ.*height 32 \(the file says 16\), task heatmaps \(the file says keypoint"
    ):
        load_checkpoint(CheckpointSource(path), Preprocessing(32, 16), Task.HEATMAPS)


def test_other_files_need_size_and_task(weights: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(weights, tmp_path / "weights.pt")
    source = CheckpointSource(tmp_path / "weights.pt", arch=ARCH)
    with pytest.raises(ConfigurationError, match="set --size"):
        load_checkpoint(source, None, Task.CLASSIFICATION)
    with pytest.raises(ConfigurationError, match="set --task to classification, keypoints, heatmaps"):
        load_checkpoint(source, PREPROCESSING, None)


def test_a_task_that_does_not_fit_the_outputs(weights: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(weights, tmp_path / "weights.pt")
    with pytest.raises(InputError, match=r"task heatmaps: expected heatmaps.*got shape \(1, 4\)"):
        load(tmp_path / "weights.pt", Task.HEATMAPS, arch=ARCH)


def test_images_of_another_colour(weights: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(weights, tmp_path / "weights.pt")
    source = CheckpointSource(tmp_path / "weights.pt", arch=ARCH)
    with pytest.raises(InputError, match=r"does not run on images of shape \(1, 16, 16\)"):
        load_checkpoint(source, Preprocessing(16, 16, colour=Colour.GREY), Task.CLASSIFICATION)


def test_a_network_that_cannot_be_captured_is_named_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import torch\n\nclass Branching(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.conv = torch.nn.Conv2d(3, 2, 1)\n"
        "    def forward(self, x):\n        x = self.conv(x)\n        return x if x.sum() > 0 else -x\n"
    )
    (tmp_path / "branching_network.py").write_text(code)
    torch.save({"conv.weight": torch.ones(2, 3, 1, 1), "conv.bias": torch.ones(2)}, tmp_path / "weights.pt")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        UnsupportedOperationError, match=r"weights\.pt: .*control flow that depends on the image"
    ) as caught:
        load(tmp_path / "weights.pt", Task.HEATMAPS, arch="branching_network:Branching")
    assert "\n" not in str(caught.value)
