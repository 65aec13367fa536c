"""What is written can be read back: pixels exactly, keypoints to a thousandth of a pixel."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from usncli import zoo
from usncli.errors import InputError
from usncli.types import Sample, Task


def test_a_written_folder_holds_the_same_data(tmp_path: Path) -> None:
    data = zoo.aircraft(count=6, size=(24, 32), seed=1)
    path = zoo.write_coco(data, tmp_path / "folder")
    record = json.loads(path.read_text())
    assert path == tmp_path / "folder" / "annotations.json"
    assert record["categories"][0]["keypoints"] == list(data.label_names)
    assert [image["id"] for image in record["images"]] == [note["image_id"] for note in record["annotations"]]
    for index, (image, note) in enumerate(zip(record["images"], record["annotations"], strict=True)):
        pixels = np.asarray(Image.open(path.parent / image["file_name"]))
        assert pixels.shape == (image["height"], image["width"], 3) == (24, 32, 3)
        assert torch.equal(torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255.0, data[index].image)
        keypoints = torch.tensor(note["keypoints"]).reshape(8, 3)
        torch.testing.assert_close(keypoints, data[index].target, atol=6e-4, rtol=0)
        assert note["num_keypoints"] == int((data[index].target[:, 2] > 0).sum())


def test_the_box_is_that_of_the_labelled_keypoints(tmp_path: Path) -> None:
    class One:
        task = Task.KEYPOINTS
        label_names = ("a", "b", "c")
        labelled = True

        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> Sample:
            target = torch.tensor([[2.0, 3.0, 2.0], [6.0, 4.5, 1.0], [0.0, 0.0, 0.0]])
            return Sample(torch.zeros(1, 8, 8), target, "grey")

    note = json.loads(zoo.write_coco(One(), tmp_path).read_text())["annotations"][0]
    assert (note["bbox"], note["area"], note["num_keypoints"]) == ([2.0, 3.0, 4.0, 1.5], 6.0, 2)
    assert Image.open(tmp_path / "images" / "grey.png").mode == "L"


def test_classes_are_refused(tmp_path: Path) -> None:
    data = zoo.aircraft(count=1)
    data.task = Task.CLASSIFICATION
    with pytest.raises(InputError, match="expected keypoint data, got data for classification"):
        zoo.write_coco(data, tmp_path)
    assert not list(tmp_path.iterdir())
