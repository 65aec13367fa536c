"""``usn doctor`` on a checkpoint: what stands in the way, what it will take, and when it ends with which exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_network import SIDE
from torch import Tensor, nn

from usncli.cli import doctor, preflight
from usncli.exporting.support import Unexportable
from usncli.loading.capture import capture
from usncli.loading.network_file import save_network
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Preprocessing
from usncli.preflight import operations
from usncli.types import Task

NARROW = ("--perturb", "brightness=0.001")


class Awkward(nn.Module):
    """Layers that cannot be certified, and one that cannot be cut."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(torch.sin(self.norm(self.first(images))).mean((2, 3))).softmax(1)


class Undecided(nn.Module):
    """Control flow that depends on the image."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2)

    def forward(self, images: Tensor) -> Tensor:
        features = images.mean((2, 3))
        if features.sum() > 0:
            features = -features
        return self.head(features)


def build_undecided() -> nn.Module:
    return Undecided()


@pytest.fixture(scope="module")
def awkward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("awkward") / "awkward.safetensors"
    torch.manual_seed(0)
    captured = capture(Awkward().eval(), torch.zeros(2, 3, SIDE, SIDE))
    save_network(path, Pipeline(captured, Preprocessing(SIDE, SIDE), Task.CLASSIFICATION), {})
    return path


@pytest.fixture(autouse=True)
def export(monkeypatch: pytest.MonkeyPatch) -> list[Unexportable]:
    """Stand in for the trial of an export, which takes seconds; what a test puts here cannot be exported."""
    found: list[Unexportable] = []
    monkeypatch.setattr(operations, "unexportable_operations", lambda pipeline: tuple(found))
    return found


def test_a_network_without_obstacles_is_predicted(usn: Any, place: Any) -> None:
    outcome = usn("doctor", place.network, "--data", place.images, *NARROW, "--perturb", "contrast=0.001")
    assert outcome.code == 0, outcome.err
    assert "device cpu" in outcome.out
    assert "operations: each can be scored, cut, certified and exported" in outcome.out
    assert "10 channels in 2 groups can be cut" in outcome.out
    for text in ("brightness=0.001", "contrast=0.001", "in all", "From 6 of 6 images", "memory: about"):
        assert text in outcome.out
    assert not Path("usn-runs").exists()


def test_a_usn_yaml_names_it_all_and_what_it_says_of_certify_holds(usn: Any, place: Any) -> None:
    Path("usn.yaml").write_text(
        f"checkpoint: {place.network}\nperturb: brightness=0.001\nscore: {{data: nowhere}}\n"
        f"certify: {{data: {place.images}, seconds: 7, limit: 3, min-certified: 1}}\n"
    )
    outcome = usn("doctor")
    assert outcome.code == 0, outcome.err
    assert "From 3 of 3 images" in outcome.out
    assert "--seconds 7" in outcome.out
    shown = usn("doctor", "--show-config")
    (line,) = [line for line in shown.out.splitlines() if line.startswith("seconds")]
    assert line.endswith(":4 (certify)")
    Path("usn.yaml").write_text("certify: {seconds: 7}\ndoctor: {seconds: 8}\n")
    shown = usn("doctor", "--show-config")
    (line,) = [line for line in shown.out.splitlines() if line.startswith("seconds")]
    assert line.endswith(":2 (doctor)")


def test_without_images_or_ranges_it_says_what_to_add(usn: Any, place: Any) -> None:
    outcome = usn("doctor", place.network)
    assert outcome.code == 0, outcome.err
    assert "give --data and --perturb, or write 'data:' and 'perturb:' in usn.yaml" in outcome.err
    assert "operations: each can be" in outcome.out
    assert "in all" not in outcome.out
    outcome = usn("doctor", place.network, "--data", place.images)
    assert "give --perturb, or write 'perturb:' in usn.yaml" in outcome.err


def test_every_obstacle_is_named_by_layer_and_ends_with_exit_code_2(
    usn: Any, place: Any, awkward: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "predicted", None)  # nothing is certified where certification cannot begin
    monkeypatch.setenv("COLUMNS", "80")
    outcome = usn("doctor", awkward, "--data", place.images, *NARROW)
    assert outcome.code == 2
    words = " ".join(outcome.out.split())
    for text in ("norm (GroupNorm)", "forward (sin)", "softmax", "certified", "nn.BatchNorm2d", "scored, cut"):
        assert text in words
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert outcome.error_lines == ["error: the network cannot be certified as it is; the table says what to change"]


def test_what_only_an_export_needs_is_no_error(usn: Any, place: Any, export: list[Unexportable]) -> None:
    export.append(Unexportable("forward (lgamma)", "No ONNX function found"))
    outcome = usn("doctor", place.network)
    assert outcome.code == 0
    assert "forward (lgamma)" in outcome.out
    assert "exported" in outcome.out


@pytest.mark.parametrize("words", [("nowhere.pt",), ()], ids=["flag", "usn.yaml"])
def test_a_checkpoint_that_is_not_there(usn: Any, words: tuple[str, ...]) -> None:
    if not words:
        Path("usn.yaml").write_text("checkpoint: nowhere.pt\ntask: classification\nsize: 8\n")
    outcome = usn("doctor", *words)
    assert outcome.code == 2
    assert "device cpu" in outcome.out
    (line,) = outcome.err.splitlines()
    assert line.startswith("error: ")
    assert "nowhere.pt" in line


def test_a_network_that_cannot_be_captured_says_where(usn: Any, tmp_path: Path) -> None:
    torch.save(Undecided().state_dict(), tmp_path / "weights.pt")
    words = ("--arch", "test_doctor:build_undecided", "--task", "classification", "--size", SIDE)
    outcome = usn("doctor", tmp_path / "weights.pt", *words)
    assert outcome.code == 2
    assert "device cpu" in outcome.out
    (line,) = outcome.error_lines
    assert "test_doctor.py" in line
    assert "if features.sum() > 0" in line
    assert "torch.where" in line


def test_an_empty_folder_of_images_is_nothing_to_certify(usn: Any, place: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    outcome = usn("doctor", place.network, "--data", tmp_path / "empty", *NARROW)
    assert outcome.code == 5


def test_a_machine_that_lacks_what_loading_needs_does_not_load(
    usn: Any, place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = doctor.package_version
    monkeypatch.setattr(doctor, "package_version", lambda name: None if name == "torch-pruning" else real(name))
    outcome = usn("doctor", place.network)
    assert outcome.code == 2
    assert "missing: torch-pruning" in outcome.err
    assert "is looked at once nothing is missing" in outcome.err
    monkeypatch.setattr(doctor, "package_version", lambda name: None if name == "auto_LiRPA" else real(name))
    outcome = usn("doctor", place.network)
    assert outcome.code == 2
    assert "operations: each can be" in outcome.out
