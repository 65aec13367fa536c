"""COCO keypoint data: what is read, and what is refused before anything is computed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from usncli.errors import ConfigurationError, InputError
from usncli.loading.data import DataOptions, open_data
from usncli.loading.preprocessing import Colour, Preprocessing
from usncli.types import Task

SIZE = Preprocessing(10, 20, Colour.GREY)


def document(images: int = 3) -> dict[str, Any]:
    """Images of 40x30 pixels, keypoints nose and tail."""
    return {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 40, "height": 30} for i in range(images)],
        "annotations": [
            {
                "id": 7 * i,
                "image_id": i,
                "category_id": 1,
                "bbox": [8, 6, 12, 9],
                "keypoints": [8.0, 6.0, 2, 20.0 - i, 15.0, 1],
            }
            for i in range(images)
        ],
        "categories": [{"id": 1, "name": "fish", "keypoints": ["nose", "tail"]}],
    }


def write(folder: Path, content: dict[str, Any], *, images: str = "images", name: str = "labels.json") -> Path:
    (folder / images).mkdir(parents=True, exist_ok=True)
    for index, entry in enumerate(content["images"]):
        pixels = np.full((30, 40), 10 * index, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / images / entry.get("file_name", "nameless.png"))
    (folder / name).write_text(json.dumps(content))
    return folder / name


def refused(folder: Path, options: DataOptions | None = None) -> str:
    with pytest.raises(InputError) as caught:
        open_data(str(folder), SIZE, Task.KEYPOINTS, options)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("images", [".", "images"])
@pytest.mark.parametrize("by", ["file", "folder"])
@pytest.mark.parametrize("task", [Task.KEYPOINTS, Task.HEATMAPS])
def test_samples(tmp_path: Path, images: str, by: str, task: Task) -> None:
    path = write(tmp_path, document(), images=images)
    data = open_data(str(path if by == "file" else tmp_path), SIZE, task)
    assert (len(data), data.task, data.label_names, data.labelled) == (3, Task.KEYPOINTS, ("nose", "tail"), True)
    sample = data[2]
    assert sample.name == "2.png"
    assert (sample.image.shape, sample.image.dtype) == ((1, 10, 20), torch.float32)
    torch.testing.assert_close(sample.image, torch.full((1, 10, 20), 20 / 255))
    torch.testing.assert_close(sample.target, torch.tensor([[4.0, 2.0, 2.0], [9.0, 5.0, 1.0]]))
    assert data[-1].name == "2.png"
    assert [item.name for item in data] == ["0.png", "1.png", "2.png"]


def test_annotations_beside_a_folder_of_images(tmp_path: Path) -> None:
    path = write(tmp_path / "labels", document())
    (tmp_path / "pictures").mkdir()
    for image in (tmp_path / "labels" / "images").iterdir():
        image.rename(tmp_path / "pictures" / image.name)
    data = open_data(str(tmp_path / "pictures"), SIZE, Task.KEYPOINTS, DataOptions(annotations=path))
    assert len(data) == 3


def test_what_is_not_labelled_is_left_out_with_a_note(tmp_path: Path) -> None:
    content = document(4)
    content["annotations"][0]["keypoints"] = [0, 0, 0, 0, 0, 0]
    content["annotations"][1]["iscrowd"] = 1
    del content["annotations"][2]["keypoints"]
    data = open_data(str(write(tmp_path, content)), SIZE, Task.KEYPOINTS)
    assert [sample.name for sample in data] == ["3.png"]
    assert "left out 3 images" in data.notes[0]  # type: ignore[attr-defined]


def test_invisible_keypoints_may_lie_anywhere_and_become_zero(tmp_path: Path) -> None:
    content = document(1)
    content["annotations"][0]["keypoints"] = [-500.0, float("nan"), 0, 4, 3, 2]
    data = open_data(str(write(tmp_path, content)), SIZE, Task.KEYPOINTS)
    assert data[0].target.tolist() == [[0.0, 0.0, 0.0], [2.0, 1.0, 2.0]]


def test_edges_belong_to_the_image(tmp_path: Path) -> None:
    content = document(1)
    content["annotations"][0]["keypoints"] = [0, 0, 2, 40, 30, 2]
    data = open_data(str(write(tmp_path, content)), SIZE, Task.KEYPOINTS)
    assert data[0].target[:, :2].tolist() == [[0.0, 0.0], [20.0, 10.0]]


def test_skeletons_without_names(tmp_path: Path) -> None:
    content = document()
    content["categories"] = []
    data = open_data(str(write(tmp_path, content)), SIZE, Task.KEYPOINTS)
    assert data.label_names == ("keypoint 0", "keypoint 1")


def test_decoded_images_are_kept_up_to_the_limit(tmp_path: Path) -> None:
    path = write(tmp_path, document())
    one_image = 10 * 20
    data = open_data(str(path), SIZE, Task.KEYPOINTS, DataOptions(cache_bytes=2 * one_image))
    first = [sample.image for sample in data]
    for image in (tmp_path / "images").iterdir():
        image.unlink()
    assert torch.equal(data[0].image, first[0])
    assert torch.equal(data[1].image, first[1])
    with pytest.raises(InputError, match=r"2\.png"):
        data[2]
    data[0].image.zero_()
    assert torch.equal(data[1].image, first[1])
    assert torch.equal(data[0].image, first[0]), "samples must not share memory with the cache"


def turned(folder: Path, *, stored_size_in_json: bool) -> Path:
    """Store image 0 on its side, 30 wide and 40 high; the bright nose is at the upright (30..40, 0..10)."""
    content = document(1)
    upright = np.zeros((30, 40), dtype=np.uint8)
    upright[:10, 30:] = 255
    stored = np.rot90(upright)
    bright = np.argwhere(stored).mean(axis=0)[::-1] + 0.5 if stored_size_in_json else np.array([35.0, 5.0])
    content["annotations"][0]["keypoints"] = [*bright.tolist(), 2, 0, 0, 0]
    if stored_size_in_json:
        content["images"][0].update(width=30, height=40)
    path = write(folder, content)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(stored)).save(folder / "images" / "0.png", exif=exif.tobytes())
    return path


@pytest.mark.parametrize("stored_size_in_json", [False, True])
def test_orientation_is_the_one_that_the_annotations_mean(tmp_path: Path, stored_size_in_json: bool) -> None:
    path = turned(tmp_path, stored_size_in_json=stored_size_in_json)
    size = Preprocessing(40, 30, Colour.GREY) if stored_size_in_json else Preprocessing(30, 40, Colour.GREY)
    sample = open_data(str(path), size, Task.KEYPOINTS)[0]
    x, y = (int(value) for value in sample.target[0, :2])
    assert sample.image[0, y, x] == 1.0
    assert sample.image.mean() < 0.1


def test_crops_make_one_sample_an_annotation(tmp_path: Path) -> None:
    content = document(2)
    content["annotations"].append({"image_id": 0, "category_id": 1, "keypoints": [30, 20, 2, 34, 25, 2]})
    path = write(tmp_path, content)
    assert "0.png has 2 annotations; expected one an image; set a crop margin" in refused(path)
    data = open_data(str(path), SIZE, Task.KEYPOINTS, DataOptions(crop_margin=0.25))
    assert [sample.name for sample in data] == ["0.png#0", "0.png#1", "1.png"]
    for sample in data:
        assert sample.image.shape == (1, 10, 20)
        assert (sample.target[:, :2] >= 0).all()
        assert (sample.target[:, 0] <= 20).all()
        assert (sample.target[:, 1] <= 10).all()


def test_crop_shows_the_same_pixel_under_the_keypoint(tmp_path: Path) -> None:
    content = document(1)
    content["annotations"][0].update(keypoints=[33.5, 21.5, 2, 0, 0, 0], bbox=[28, 18, 10, 8])
    path = write(tmp_path, content)
    pixels = np.zeros((30, 40), dtype=np.uint8)
    pixels[21, 33] = 255
    Image.fromarray(pixels).save(tmp_path / "images" / "0.png")
    sample = open_data(str(path), Preprocessing(64, 64, Colour.GREY), Task.KEYPOINTS, DataOptions(crop_margin=0.1))[0]
    row, column = divmod(int(sample.image[0].argmax()), 64)
    assert abs(column + 0.5 - sample.target[0, 0].item()) <= 2
    assert abs(row + 0.5 - sample.target[0, 1].item()) <= 2
    assert sample.image.max() > 0.5, "the crop is enlarged, so the pixel stays bright"


Change = Callable[[dict[str, Any]], object]

BAD_JSON: dict[str, tuple[Change, str]] = {
    "image twice": (lambda d: d["images"].append(dict(d["images"][0], file_name="x.png")), "image id 0 stands 2"),
    "file twice": (lambda d: d["images"].append(dict(d["images"][0], id=99)), "0.png stands 2 times"),
    "unknown image": (lambda d: d["annotations"][0].update(image_id=99), "names image id 99"),
    "no images": (lambda d: d["images"].clear(), "list of images is empty"),
    "no annotations": (lambda d: d["annotations"].clear(), "got none; pass the folder of the images"),
    "no list of annotations": (lambda d: d.pop("annotations"), "annotations: Field required"),
    "no file name": (lambda d: d["images"][2].pop("file_name"), "images[2].file_name: Field required"),
    "words": (lambda d: d["annotations"][1]["keypoints"].__setitem__(3, "a"), "annotations[1].keypoints[3]: Inp"),
    "too few": (lambda d: d["annotations"][1].update(keypoints=[1, 2, 2]), "1.png: expected 3 x 2 keypoint"),
    "visibility": (lambda d: d["annotations"][1]["keypoints"].__setitem__(2, 3), "visibilities 0, 1 or 2, got"),
    "outside": (
        lambda d: d["annotations"][1]["keypoints"].__setitem__(3, 40.5),
        "1.png: keypoint tail at (40.5, 15) lies outside its 40x30 pixels",
    ),
    "negative": (
        lambda d: d["annotations"][1]["keypoints"].__setitem__(1, -0.5),
        "1.png: keypoint nose at (8, -0.5) lies outside",
    ),
    "not a number": (
        lambda d: d["annotations"][1]["keypoints"].__setitem__(0, float("nan")),
        "1.png: keypoint nose at (nan, 6) is not a number",
    ),
    "other size": (lambda d: d["images"][2].update(width=41), "2.png: the JSON says 41x30 pixels, the file"),
    "two skeletons": (
        lambda d: (
            d["categories"].append({"id": 2, "keypoints": ["a"]}),
            d["annotations"][0].update(category_id=2, keypoints=[1, 1, 2]),
        ),
        "got lists of 1, 2",
    ),
}


@pytest.mark.parametrize("fault", BAD_JSON)
def test_faulty_labels_are_named(tmp_path: Path, fault: str) -> None:
    content = document()
    change, message = BAD_JSON[fault]
    change(content)
    assert message in refused(write(tmp_path, content))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected JSON"),
        ('{"images": [', "expected JSON"),
        ("[" * 100_000, "expected JSON"),
        ("[]", "the whole: Input should be"),
        ('{"images": {}, "annotations": []}', "images: Input should be a valid"),
        ("\x00\xff", "expected JSON"),
    ],
)
def test_malformed_json(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "labels.json"
    path.write_text(text, encoding="latin-1")
    assert message in refused(path)


def test_missing_and_broken_images_are_counted_and_the_first_named(tmp_path: Path) -> None:
    path = write(tmp_path, document(6))
    (tmp_path / "images" / "0.png").unlink()
    (tmp_path / "images" / "2.png").write_text("no image")
    broken = tmp_path / "images" / "3.png"
    broken.write_bytes(broken.read_bytes()[:50])
    (tmp_path / "images" / "5.png").unlink()
    message = refused(path)
    assert "4 faults: 0.png: no such file; 2.png: no image of a known format; 3.png: a " in message
    assert "5.png" not in message
    assert "and 1 more" in message


@pytest.mark.parametrize("bbox", [[8, 6, -1, 9], [8, 6, float("nan"), 9]])
def test_boxes_matter_only_to_crops(tmp_path: Path, bbox: list[float]) -> None:
    content = document()
    content["annotations"][1]["bbox"] = bbox
    path = write(tmp_path, content)
    assert len(open_data(str(path), SIZE, Task.KEYPOINTS)) == 3
    assert "1.png: bbox" in refused(path, DataOptions(crop_margin=0.1))


def test_classification_is_another_task(tmp_path: Path) -> None:
    path = write(tmp_path, document())
    for location in (path, tmp_path):
        with pytest.raises(ConfigurationError, match="labels keypoints, not classes: pass --task keypoints"):
            open_data(str(location), SIZE, Task.CLASSIFICATION)


def test_a_folder_with_several_json_files_asks_which(tmp_path: Path) -> None:
    write(tmp_path, document(), name="train.json")
    write(tmp_path, document(), name="test.json")
    assert "found 2; pass one of them: test.json, train.json" in refused(tmp_path)
