"""Data in one .npz file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from usncli.errors import ConfigurationError, InputError
from usncli.loading.data import DataOptions, open_data
from usncli.loading.preprocessing import Colour, Preprocessing
from usncli.types import Task

RGB = Preprocessing(4, 8)
GREY = Preprocessing(4, 8, Colour.GREY)
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (3, 4, 8, 3), dtype=np.uint8)


def npz(folder: Path, **arrays: Any) -> str:
    np.savez(folder / "data.npz", **arrays)
    return str(folder / "data.npz")


def refused(location: str, task: Task = Task.CLASSIFICATION) -> str:
    with pytest.raises(InputError) as caught:
        open_data(location, RGB, task)
    assert str(caught.value).startswith(location)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_classes(tmp_path: Path) -> None:
    data = open_data(npz(tmp_path, images=IMAGES, labels=[2, 0, 1]), RGB, Task.CLASSIFICATION)
    assert (data.task, data.label_names, data.labelled) == (
        Task.CLASSIFICATION,
        ("class 0", "class 1", "class 2"),
        True,
    )
    assert [int(sample.target) for sample in data] == [2, 0, 1]
    assert [sample.name for sample in data] == ["images[0]", "images[1]", "images[2]"]
    torch.testing.assert_close(data[1].image, torch.tensor(IMAGES[1]).permute(2, 0, 1) / 255)


def test_names_come_from_the_file_or_the_options(tmp_path: Path) -> None:
    path = npz(tmp_path, images=IMAGES, labels=[2, 0, 1], label_names=["x", "y", "z"])
    assert open_data(path, RGB, Task.CLASSIFICATION).label_names == ("x", "y", "z")
    options = DataOptions(class_names=("p", "q", "r", "s"))
    assert open_data(path, RGB, Task.CLASSIFICATION, options).label_names == ("p", "q", "r", "s")


@pytest.mark.parametrize("shape", [(3, 8, 16), (3, 8, 16, 1), (3, 8, 16, 3), (3, 8, 16, 4)])
@pytest.mark.parametrize("preprocessing", [RGB, GREY])
def test_numbers_of_8_bits_and_floating_point_give_the_same_images(
    tmp_path: Path, shape: tuple[int, ...], preprocessing: Preprocessing
) -> None:
    whole = RANDOM.integers(0, 256, shape, dtype=np.uint8)
    for dtype in (np.float32, np.float64, np.float16):
        as_bytes = open_data(npz(tmp_path, images=whole), preprocessing, Task.CLASSIFICATION)[2].image
        as_numbers = open_data(npz(tmp_path, images=(whole / 255).astype(dtype)), preprocessing, Task.CLASSIFICATION)
        assert as_bytes.shape == (preprocessing.channels, 4, 8)
        assert as_numbers[2].image.dtype == torch.float32
        torch.testing.assert_close(as_numbers[2].image, as_bytes, rtol=0, atol=1.2 / 255)


def test_keypoints_scale_with_the_image(tmp_path: Path) -> None:
    keypoints = np.array([[[0, 0], [32, 8]], [[16, 4], [8, 2]], [[4, 4], [1, 1]]])
    path = npz(tmp_path, images=np.zeros((3, 8, 32), dtype=np.uint8), keypoints=keypoints)
    data = open_data(path, RGB, Task.HEATMAPS)
    assert (data.task, data.label_names) == (Task.KEYPOINTS, ("keypoint 0", "keypoint 1"))
    assert data[0].target.tolist() == [[0.0, 0.0, 2.0], [8.0, 4.0, 2.0]]
    assert data[1].target.tolist() == [[4.0, 2.0, 2.0], [2.0, 1.0, 2.0]]


def test_visibility_may_come_as_a_third_number(tmp_path: Path) -> None:
    keypoints = np.array([[[1.0, 1.0, 1.0], [np.nan, -9.0, 0.0]]])
    data = open_data(npz(tmp_path, images=IMAGES[:1], keypoints=keypoints), RGB, Task.KEYPOINTS)
    assert data[0].target.tolist() == [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]


@pytest.mark.parametrize("task", list(Task))
def test_without_labels(tmp_path: Path, task: Task) -> None:
    data = open_data(npz(tmp_path, images=IMAGES), RGB, task)
    assert (data.labelled, data.label_names) == (False, ())
    assert data[0].target.tolist() == (-1 if task == Task.CLASSIFICATION else [])


def test_the_other_task_is_named(tmp_path: Path) -> None:
    path = npz(tmp_path, images=IMAGES, labels=[0, 1, 0])
    with pytest.raises(ConfigurationError, match="holds labels, not keypoints: pass --task classification"):
        open_data(path, RGB, Task.KEYPOINTS)
    path = npz(tmp_path, images=IMAGES, keypoints=np.ones((3, 2, 2)))
    with pytest.raises(ConfigurationError, match="holds keypoints, not labels: pass --task keypoints"):
        open_data(path, RGB, Task.CLASSIFICATION)


POINTS = np.ones((3, 2, 2))
FLOATS = IMAGES.astype(np.float32) / 255


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": IMAGES}, "expected an array 'images', got pictures"),
        ({"images": IMAGES[0, 0]}, "expected images of shape (images, height, width[, 1 to 4 channels]), got (8, 3)"),
        ({"images": IMAGES.transpose(0, 3, 1, 2)}, "got (3, 3, 4, 8)"),
        ({"images": IMAGES[:0]}, "expected images, found none"),
        (
            {"images": IMAGES.astype(np.int32)},
            "3 faults: images[0]: expected uint8 or floating point in [0, 1], got int",
        ),
        ({"images": IMAGES.astype(np.float32)}, "expected numbers in [0, 1], got 0 to 25"),
        ({"images": FLOATS - 0.5}, "images[0]: expected numbers in [0, 1], got -0."),
        ({"images": np.where(FLOATS > 0.99, np.nan, FLOATS)}, "holds numbers that are NaN"),
        ({"images": IMAGES, "labels": [0, 1]}, "expected 3 labels, one an image, got shape (2,)"),
        ({"images": IMAGES, "labels": [0, 1, -1]}, "labels[2] is -1; expected classes from 0 to 1"),
        ({"images": IMAGES, "labels": [0, 5, 1], "label_names": ["a", "b"]}, "labels[1] is 5; expected classes from"),
        ({"images": IMAGES, "labels": [0.5, 1, 1]}, "expected labels of shape (images,), integers, got float64"),
        ({"images": IMAGES, "labels": np.eye(3, dtype=int)}, "got int64 (3, 3)"),
        ({"images": np.array([object()] * 3)}, "it holds Python objects, which would run code"),
    ],
)
def test_faulty_arrays(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    assert message in refused(npz(tmp_path, **arrays))


@pytest.mark.parametrize(
    ("keypoints", "message"),
    [
        (np.ones((3, 2)), "expected keypoints of shape (images, keypoints, 2 or 3), got (3, 2)"),
        (np.ones((3, 0, 2)), "got (3, 0, 2)"),
        (np.ones((2, 2, 2)), "expected 3 keypoints, one an image"),
        (np.full((3, 2, 2), "a"), "expected keypoints that are numbers"),
        (POINTS + np.array([[0, 0], [8, 0]]), "3 faults: images[0]: keypoint 1 at (9, 1) lies outside its 8x4 pixels"),
        (np.where(POINTS > 0, np.nan, 0), "6 faults: images[0]: keypoint 0 at (nan, nan) is not a number"),
        (np.full((3, 1, 3), -1.0), "keypoint 0 has the visibility -1"),
    ],
)
def test_faulty_keypoints(tmp_path: Path, keypoints: Any, message: str) -> None:
    assert message in refused(npz(tmp_path, images=IMAGES, keypoints=keypoints), Task.KEYPOINTS)


def test_a_number_of_names_that_is_not_the_number_of_keypoints(tmp_path: Path) -> None:
    path = npz(tmp_path, images=IMAGES, keypoints=POINTS, label_names=["a", "b", "c"])
    assert "expected 2 label_names, one a keypoint, got 3" in refused(path, Task.KEYPOINTS)


def test_files_that_are_no_archives(tmp_path: Path) -> None:
    path = npz(tmp_path, images=IMAGES)
    whole = Path(path).read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"text", b"\x80\x04N."):
        Path(path).write_bytes(content)
        assert "it is something else, or truncated" in refused(path)
    damaged = bytearray(whole)
    damaged[200] ^= 0xFF
    Path(path).write_bytes(damaged)
    assert "expected an .npz archive of plain arrays" in refused(path)
