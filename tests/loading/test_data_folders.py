"""A folder a class, plain folders, and locations that are neither."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from usncli.errors import ConfigurationError, InputError, UsnError
from usncli.loading.data import DataOptions, open_data
from usncli.loading.preprocessing import Colour, Preprocessing
from usncli.types import Task

SIZE = Preprocessing(4, 4, Colour.GREY)


def images(folder: Path, **brightness: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in brightness.items():
        Image.fromarray(np.full((8, 8), value, dtype=np.uint8)).save(folder / f"{name}.png")
    return folder


def classes(folder: Path) -> Path:
    images(folder / "cat", b=20, a=10)
    images(folder / "ant", c=30)
    return folder


def refused(location: object, kind: type[UsnError] = InputError, task: Task = Task.CLASSIFICATION) -> str:
    with pytest.raises(kind) as caught:
        open_data(str(location), SIZE, task)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_sorted_folder_names_are_the_classes(tmp_path: Path) -> None:
    data = open_data(str(classes(tmp_path)), SIZE, Task.CLASSIFICATION)
    assert (data.task, data.label_names, data.labelled) == (Task.CLASSIFICATION, ("ant", "cat"), True)
    assert [(s.name, int(s.target)) for s in data] == [("ant/c.png", 0), ("cat/a.png", 1), ("cat/b.png", 1)]
    assert data[0].target.dtype == torch.int64
    assert data[0].target.shape == ()
    torch.testing.assert_close(data[2].image, torch.full((1, 4, 4), 20 / 255))


def test_class_names_fix_the_order_of_the_outputs(tmp_path: Path) -> None:
    options = DataOptions(class_names=("cat", "dog", "ant"))
    data = open_data(str(classes(tmp_path)), SIZE, Task.CLASSIFICATION, options)
    assert data.label_names == ("cat", "dog", "ant")
    assert {s.name: int(s.target) for s in data} == {"ant/c.png": 2, "cat/a.png": 0, "cat/b.png": 0}
    with pytest.raises(ConfigurationError, match="the class names do not hold cat"):
        open_data(str(tmp_path), SIZE, Task.CLASSIFICATION, DataOptions(class_names=("ant", "dog")))


def test_empty_class_folders_keep_their_place_and_hidden_and_text_files_are_passed_over(tmp_path: Path) -> None:
    classes(tmp_path)
    (tmp_path / "bat").mkdir()
    (tmp_path / ".cache").mkdir()
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "cat" / ".DS_Store").write_bytes(b"\0")
    (tmp_path / "cat" / "Thumbs.db").write_bytes(b"\0")
    data = open_data(str(tmp_path), SIZE, Task.CLASSIFICATION)
    assert data.label_names == ("ant", "bat", "cat")
    assert [int(s.target) for s in data] == [0, 2, 2]


def test_a_json_beside_class_folders_is_no_coco(tmp_path: Path) -> None:
    (classes(tmp_path) / "class_index.json").write_text("{}")
    assert len(open_data(str(tmp_path), SIZE, Task.CLASSIFICATION)) == 3


@pytest.mark.parametrize("task", list(Task))
def test_plain_folders_are_unlabelled(tmp_path: Path, task: Task) -> None:
    images(tmp_path, b=20, a=10)
    (tmp_path / "notes.txt").write_text("about")
    data = open_data(str(tmp_path), SIZE, task)
    assert (data.labelled, data.label_names) == (False, ())
    assert data.task == (Task.CLASSIFICATION if task == Task.CLASSIFICATION else Task.KEYPOINTS)
    assert [s.name for s in data] == ["a.png", "b.png"]
    if task == Task.CLASSIFICATION:
        assert data[0].target.item() == -1
    else:
        assert data[0].target.shape == (0, 3)


def test_faulty_files_are_named_with_their_class(tmp_path: Path) -> None:
    classes(tmp_path)
    (tmp_path / "cat" / "a.png").write_text("no image")
    (tmp_path / "ant" / "model.pt").write_bytes(b"weights")
    assert "2 faults: ant/model.pt: no image of a known format; cat/a.png: no image" in refused(tmp_path)


def test_splits_are_not_classes(tmp_path: Path) -> None:
    classes(tmp_path / "train")
    classes(tmp_path / "test")
    message = refused(tmp_path)
    assert "test/ant is a folder inside a class folder" in message
    assert "pass the folder whose folders hold images" in message


def test_images_beside_class_folders(tmp_path: Path) -> None:
    images(classes(tmp_path), loose=1)
    assert "loose.png lies beside the class folders" in refused(tmp_path)


def test_a_single_class(tmp_path: Path) -> None:
    images(tmp_path / "cat", a=1)
    assert "expected a folder a class, two or more, got only cat" in refused(tmp_path)


@pytest.mark.parametrize("task", list(Task))
def test_empty_folders(tmp_path: Path, task: Task) -> None:
    assert "expected images, found none" in refused(tmp_path, task=task)


def test_empty_classes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert "expected images, found none" in refused(tmp_path)


def test_keypoints_are_another_task(tmp_path: Path) -> None:
    message = refused(classes(tmp_path), ConfigurationError, Task.KEYPOINTS)
    assert "as for a folder a class: pass --task classification" in message


def test_locations_that_are_nothing(tmp_path: Path) -> None:
    images(tmp_path / "photos", a=1)
    assert f"no such file or folder; did you mean {tmp_path / 'photos'}?" in refused(tmp_path / "fotos")
    assert "no such file or folder; expected a COCO" in refused(tmp_path / "zzz" / "zzz")
    assert "got one image; pass its folder" in refused(tmp_path / "photos" / "a.png")
    (tmp_path / "data.csv").touch()
    assert "data.csv: expected a COCO keypoint JSON, a folder of images" in refused(tmp_path / "data.csv")


def test_options_that_do_not_apply_are_refused(tmp_path: Path) -> None:
    for options, name in [
        (DataOptions(crop_margin=0.1), "crop_margin"),
        (DataOptions(class_names=("a", "b")), "class_names"),
    ]:
        with pytest.raises(ConfigurationError, match=f"the option {name} does not apply"):
            open_data(str(images(tmp_path, a=1)), SIZE, Task.KEYPOINTS, options)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"crop_margin": -0.1}, "crop margin: expected a number from 0 to 10, got -0.1"),
        ({"crop_margin": float("nan")}, "crop margin"),
        ({"class_names": ("a", "b", "a")}, "class names: expected each once, got a more than once"),
        ({"cache_bytes": -1}, "cache: expected"),
    ],
)
def test_options_out_of_range(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        DataOptions(**wrong)  # type: ignore[arg-type]
