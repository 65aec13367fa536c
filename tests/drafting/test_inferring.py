"""What shapes of outputs, sizes that run and labelled images tell, rule by rule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from usncli.drafting.entries import State, yaml_value
from usncli.drafting.images import FoundImages, look_at_images
from usncli.drafting.input_size import Sizes, channels_of_module, channels_of_weights, size_entry, try_sizes
from usncli.drafting.task import task_entry, units_entry
from usncli.errors import ConfigurationError, InputError
from usncli.loading.capture import capture
from usncli.loading.data import DataOptions
from usncli.loading.preprocessing import KeypointUnits, Preprocessing
from usncli.settings.parsing import ImageSize
from usncli.types import Task

BOTH = [Task.KEYPOINTS, Task.CLASSIFICATION]
SIDE = 16
POINTS = ((4.0, 8.0), (12.0, 2.0))
"""Keypoints of every image, in pixels."""


def write_image(path: Path, size: tuple[int, int] = (SIDE, SIDE)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0], 3), 90, dtype=np.uint8)).save(path)


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    names = [f"{index}.png" for index in range(3)]
    for name in names:
        write_image(tmp_path / "coco" / "images" / name)
    flat = [number for x, y in POINTS for number in (x, y, 2)]
    document = {
        "images": [{"id": index, "file_name": name} for index, name in enumerate(names)],
        "annotations": [{"image_id": index, "category_id": 1, "keypoints": flat} for index in range(len(names))],
        "categories": [{"id": 1, "keypoints": ["nose", "tail"]}],
    }
    path = tmp_path / "coco" / "train.json"
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    for name in ("dark", "light"):
        write_image(tmp_path / "classes" / name / "1.png")
    return tmp_path / "classes"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    write_image(tmp_path / "bare" / "1.png", (20, 10))
    write_image(tmp_path / "bare" / "2.png", (30, 10))
    return tmp_path / "bare"


def look(path: Path, **options: Any) -> FoundImages:
    return look_at_images(str(path), BOTH, DataOptions(**options))


def test_images_are_opened_for_what_they_label(coco: Path, classes: Path, bare: Path, tmp_path: Path) -> None:
    found = look(coco)
    assert (found.labelled_task, found.common_size) == (Task.KEYPOINTS, ImageSize(SIDE, SIDE))
    assert found.describe() == "3 images of 16x16, 2 keypoints (nose, tail)"
    assert look(coco.parent).describe() == found.describe()
    assert look(classes).describe() == "2 images of 16x16, 2 classes (dark, light)"
    found = look(bare)
    assert (found.labelled_task, found.common_size) == (None, None)
    assert found.describe() == "2 images from 20x10 to 30x10 pixels, no labels"
    np.savez(tmp_path / "arrays.npz", images=np.zeros((4, 6, 5), dtype=np.uint8), labels=np.arange(4) % 3)
    assert look(tmp_path / "arrays.npz").describe() == "4 images of 5x6, 3 classes (class 0, class 1, class 2)"


def test_crops_have_no_size_of_their_own(coco: Path) -> None:
    assert look(coco, crop_margin=0.1).sizes == frozenset()


def test_wrong_files_go_before_wrong_tasks(classes: Path, tmp_path: Path) -> None:
    (classes / "dark" / "1.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"dark/1\.png: no image of a known format"):
        look(classes)
    with pytest.raises(InputError, match="no such file or folder"):
        look(tmp_path / "absent")
    with pytest.raises(ConfigurationError, match="pass --task classification"):
        look_at_images(str(classes), [Task.HEATMAPS], DataOptions())


@pytest.mark.parametrize(
    ("outputs", "data", "expected", "state"),
    [
        ((4,), "coco", "keypoints", State.KNOWN),
        ((2,), "classes", "classification", State.KNOWN),
        ((4,), "classes", "classification", State.KNOWN),
        ((6,), "coco", "keypoints", State.MISSING),
        ((10,), "bare", "classification", State.MISSING),
        ((10,), None, "classification", State.MISSING),
        ((7,), None, "classification", State.KNOWN),
        ((5, 8, 8), None, "heatmaps", State.KNOWN),
        ((5, 2), None, "keypoints", State.KNOWN),
        ((5, 3), None, "classification", State.MISSING),
        ((), "coco", "keypoints", State.MISSING),
    ],
)
def test_tasks_follow_from_outputs_and_labels(
    outputs: tuple[int, ...], data: str | None, expected: str, state: State, request: pytest.FixtureRequest
) -> None:
    images = look(request.getfixturevalue(data)) if data else None
    entry = task_entry(outputs, images)
    assert (entry.key, entry.value, entry.state) == ("task", expected, state)


class Constant(nn.Module):
    """Predicts the same keypoints for every image."""

    def __init__(self, coordinates: Tensor) -> None:
        super().__init__()
        self.coordinates = nn.Parameter(coordinates)

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((1, 2, 3), keepdim=False)[:, None] * 0 + self.coordinates


@pytest.mark.parametrize("units", KeypointUnits)
def test_units_are_those_in_which_the_network_is_right(units: KeypointUnits, coco: Path) -> None:
    pixels = torch.tensor(POINTS).flatten()
    raw = {"pixel": pixels, "unit": pixels / SIDE, "centred": pixels / SIDE * 2 - 1}[units]
    preprocessing = Preprocessing(SIDE, SIDE)
    network = capture(Constant(raw), torch.zeros(2, 3, SIDE, SIDE))
    entry = units_entry(network, preprocessing, look(coco))
    assert entry.value == units
    assert entry.why.startswith("0.0 px off on labelled images, ")
    assert "CHECK" not in entry.why


def test_units_that_are_not_clear_or_not_labelled_are_to_be_checked(coco: Path, bare: Path) -> None:
    preprocessing = Preprocessing(SIDE, SIDE)
    far = capture(Constant(torch.full((4,), 1e4)), torch.zeros(2, 3, SIDE, SIDE))
    assert "CHECK" not in units_entry(far, preprocessing, look(coco)).why  # pixels are least wrong, by far
    near = capture(Constant(torch.full((4,), 0.5)), torch.zeros(2, 3, SIDE, SIDE))
    assert "CHECK, that is not clear" in units_entry(near, preprocessing, look(coco)).why
    entry = units_entry(near, preprocessing, look(bare))
    assert (entry.value, entry.why) == ("centred", "the default; CHECK, the others are pixel and unit")
    other = capture(Constant(torch.zeros(6)), torch.zeros(2, 3, SIDE, SIDE))
    assert units_entry(other, preprocessing, look(coco)).value == "centred"


def flat_network(side: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Flatten(), nn.Linear(2 * side * side, 3))


def test_a_network_that_runs_at_one_size_has_it() -> None:
    sizes = try_sizes(flat_network(48), 1, None)
    assert sizes.running == (ImageSize(48, 48),)
    entry = size_entry(sizes, None)
    assert (entry.value, entry.state) == (48, State.KNOWN)
    assert "the only one of 18 sizes from 8 to 512 pixels" in entry.why


def test_a_network_that_runs_at_many_takes_the_size_of_its_images(coco: Path, bare: Path) -> None:
    anywhere = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    sizes = try_sizes(anywhere, 3, look(coco))
    assert sizes.running == sizes.tried
    entry = size_entry(sizes, look(coco))
    assert (entry.value, entry.state) == (SIDE, State.KNOWN)
    assert "CHECK" in entry.why
    for images in (look(bare), None):
        entry = size_entry(try_sizes(anywhere, 3, images), images)
        assert entry.state == State.MISSING
        assert "it runs at any of 8, 16, 28" in entry.why


def test_a_network_that_does_not_run_at_the_size_of_its_images(coco: Path) -> None:
    sizes = try_sizes(flat_network(96), 1, look(coco))
    assert size_entry(sizes, look(coco)).value == 96
    several = Sizes(
        (ImageSize(28, 28), ImageSize(32, 32), ImageSize(SIDE, SIDE)), (ImageSize(28, 28), ImageSize(32, 32))
    )
    entry = size_entry(several, look(coco))
    assert entry.state == State.MISSING
    assert entry.why.endswith("it runs at 28, 32")
    assert several.one_to_look_at == ImageSize(28, 28)
    none = size_entry(try_sizes(flat_network(49), 1, None), None)
    assert "it runs at none of 8, 16" in none.why


def test_channels_are_those_of_the_first_convolution() -> None:
    for module, expected in (
        (nn.Conv2d(1, 4, 3), 1),
        (nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)), 3),
        (nn.Conv2d(7, 4, 3), None),
        (nn.Linear(3, 4), None),
    ):
        assert channels_of_module(module) == expected
        assert channels_of_weights(module.state_dict()) == expected
    assert channels_of_module(nn.Conv2d(3, 3, 3, groups=3)) == 3


def test_values_are_written_as_people_write_them() -> None:
    assert yaml_value(ImageSize(64, 64)) == 64
    assert yaml_value(ImageSize(64, 48)) == "64x48"
    assert yaml_value((0.5,)) == 0.5
    assert yaml_value(("a", "b")) == ["a", "b"]
    assert yaml_value(Path("a/b")) == "a/b"
    assert yaml_value(False) is False
