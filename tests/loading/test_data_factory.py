"""Data sets that a user's own code returns."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from usncli.errors import ConfigurationError, InputError, UsnError
from usncli.loading.data import open_data
from usncli.loading.preprocessing import Colour, Preprocessing
from usncli.types import Sample, Task

SIZE = Preprocessing(4, 8, Colour.GREY)

MODULE = """
import torch
from torch.utils.data import Dataset, IterableDataset

class Blobs(Dataset):
    classes = ["ant", "bee"]
    def __len__(self):
        return 3
    def __getitem__(self, index):
        return torch.full((1, 4, 8), index / 4), index % 2

class Stream(IterableDataset):
    def __iter__(self):
        yield torch.zeros(1, 4, 8), 0

def blobs():
    return Blobs()

def stream():
    return Stream()

def broken():
    raise ZeroDivisionError("mine")

number = 3
"""


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Put a module into the working directory, which is not on the import path."""
    (tmp_path / "user_blobs.py").write_text(MODULE)
    (tmp_path / "user_bad_import.py").write_text("import not_installed_anywhere")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield "user_blobs"
    sys.modules.pop("user_blobs", None)


def items(monkeypatch: pytest.MonkeyPatch, listed: list[Any]) -> str:
    """Offer a list of items as a user's data set."""
    monkeypatch.setattr(sys.modules[__name__], "OFFERED", listed, raising=False)
    return f"{__name__}:offer"


def offer() -> Any:
    return globals()["OFFERED"]


def refused(location: str, kind: type[UsnError], task: Task) -> str:
    with pytest.raises(kind) as caught:
        open_data(location, SIZE, task)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_module_of_the_working_directory(user_module: str) -> None:
    for name in ("blobs", "Blobs"):
        data = open_data(f"{user_module}:{name}", SIZE, Task.CLASSIFICATION)
        assert (len(data), data.label_names, data.labelled) == (3, ("ant", "bee"), True)
        assert [int(sample.target) for sample in data] == [0, 1, 0]
        assert data[2].name == "item 2"
        torch.testing.assert_close(data[2].image, torch.full((1, 4, 8), 0.5))


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("user_blobs:blob", "no 'blob' there; did you mean 'blobs'?"),
        ("user_blobs:number", "expected a callable, got a int"),
        ("user_blob:blobs", "no module 'user_blob', neither installed nor in"),
        ("user_bad_import:blobs", "no module 'not_installed_anywhere'"),
    ],
)
def test_references_to_nothing(user_module: str, reference: str, message: str) -> None:
    assert message in refused(reference, ConfigurationError, Task.CLASSIFICATION)


def test_streams_have_no_length(user_module: str) -> None:
    message = refused(f"{user_module}:stream", InputError, Task.CLASSIFICATION)
    assert "expected a torch Dataset with a length and items, got a Stream" in message


def test_a_crash_of_the_users_code_stays_a_crash(user_module: str) -> None:
    with pytest.raises(ZeroDivisionError, match="mine"):
        open_data(f"{user_module}:broken", SIZE, Task.CLASSIFICATION)


@pytest.mark.parametrize(
    "image",
    [
        torch.full((1, 8, 16), 0.2),
        torch.full((3, 4, 8), 0.2, dtype=torch.float64),
        torch.full((3, 4, 8), 51, dtype=torch.uint8),
        np.full((8, 16), 51, dtype=np.uint8),
        np.full((8, 16, 3), 0.2),
        Image.new("RGB", (16, 8), (51, 51, 51)),
        Image.new("RGBA", (16, 8), (51, 51, 51, 0)),
    ],
    ids=lambda image: f"{type(image).__name__} {getattr(image, 'shape', '')}",
)
def test_images_of_many_kinds(monkeypatch: pytest.MonkeyPatch, image: Any) -> None:
    sample = open_data(items(monkeypatch, [(image, 1)]), SIZE, Task.CLASSIFICATION)[0]
    torch.testing.assert_close(sample.image, torch.full((1, 4, 8), 0.2), atol=1e-6, rtol=0)


@pytest.mark.parametrize("three", [False, True])
def test_keypoints_are_scaled_with_their_image(monkeypatch: pytest.MonkeyPatch, three: bool) -> None:
    target = torch.tensor([[16.0, 8.0, 2.0], [4.0, 4.0, 2.0]])
    item = (torch.zeros(1, 8, 16), target if three else target[:, :2].tolist())
    data = open_data(items(monkeypatch, [item]), SIZE, Task.HEATMAPS)
    assert (data.task, data.label_names) == (Task.KEYPOINTS, ("keypoint 0", "keypoint 1"))
    assert data[0].target.tolist() == [[8.0, 4.0, 2.0], [2.0, 2.0, 2.0]]


def test_samples_keep_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = Sample(torch.zeros(1, 4, 8), torch.tensor(1), "mine.png")
    data = open_data(items(monkeypatch, [sample]), SIZE, Task.CLASSIFICATION)
    assert data[0].name == "mine.png"
    assert data.label_names == ("class 0", "class 1")


@pytest.mark.parametrize("task", list(Task))
def test_targets_of_none_are_no_labels(monkeypatch: pytest.MonkeyPatch, task: Task) -> None:
    data = open_data(items(monkeypatch, [(torch.zeros(1, 4, 8), None)] * 2), SIZE, task)
    assert (data.labelled, data.label_names) == (False, ())


X = torch.zeros(1, 4, 8)
C, K = Task.CLASSIFICATION, Task.KEYPOINTS


@pytest.mark.parametrize(
    ("listed", "task", "kind", "message"),
    [
        ([], C, InputError, "expected images, found none"),
        ([X], C, InputError, "1 fault: item 0: expected (image, target), got Tensor"),
        ([("photo.png", 1)], C, InputError, "item 0: expected a tensor, an array or a Pillow image, got str"),
        ([(X[0], 1)], C, InputError, "item 0: expected an image tensor of shape (1 to 4, height, width), got (4, 8)"),
        ([(X.int(), 1)], C, InputError, "item 0: expected uint8 or floating point in [0, 1], got int32"),
        ([(X, 0), (X - 1, 0)], C, InputError, "item 1: expected numbers in [0, 1], got -1 to 0"),
        ([(X * float("nan"), 0)], C, InputError, "item 0: holds numbers that are NaN"),
        ([(X, 0, "same"), (X, 1, "same")], C, InputError, "1 fault: the name 'same' stands 2 times"),
        ([(X, 0.5)], C, InputError, "item 0: expected an integer class from 0, got 0.5"),
        ([(X, -3)], C, InputError, "item 0: expected an integer class from 0, got -3"),
        ([(X, "cat")], C, InputError, "item 0: expected a target of numbers, got str"),
        ([(X, 0), (X, None)], C, InputError, "expected classes from 0 to 0 for every item, got -1 to 0"),
        ([(X, [[1, 1]])], C, ConfigurationError, "its target has the shape (1, 2): expected a class, or pass --task"),
        ([(X, 1)], K, ConfigurationError, "its target is a class: pass --task classification"),
        ([(X, [1, 1])], K, InputError, "item 0: expected keypoints of shape (keypoints, 2 or 3), got (2,)"),
        ([(X, [[1, 1], [9, 1]])], K, InputError, "item 0: keypoint 1 at (9, 1) lies outside its 8x4 pixels"),
        (
            [(X, [[1, 1]]), (X, [[1, 1]] * 2)],
            K,
            InputError,
            "expected one number of keypoints for every item, got [1, 2",
        ),
    ],
)
def test_faulty_items(
    monkeypatch: pytest.MonkeyPatch, listed: list[Any], task: Task, kind: type[UsnError], message: str
) -> None:
    location = items(monkeypatch, listed)
    assert message in refused(location, kind, task)
