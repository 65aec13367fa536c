"""The embedded data set: what a sample is, and that it never depends on what else was asked for."""

from __future__ import annotations

import pytest
import torch

from usncli import zoo
from usncli.errors import InputError
from usncli.types import Task


def test_samples_are_what_image_data_promises() -> None:
    data = zoo.aircraft(count=12, size=(24, 40), seed=2)
    sample = data[11]
    assert (len(data), data.task, data.labelled) == (12, Task.KEYPOINTS, True)
    assert data.label_names == (
        "nose",
        "left_wing_tip",
        "right_wing_tip",
        "left_tailplane_tip",
        "right_tailplane_tip",
        "fin_tip",
        "left_engine",
        "right_engine",
    )
    assert sample.name == "aircraft-000011"
    assert sample.image.shape == (3, 24, 40)
    assert sample.image.dtype == sample.target.dtype == torch.float32
    assert sample.target.shape == (8, 3)
    assert 0 <= sample.image.min() < sample.image.max() <= 1
    torch.testing.assert_close((sample.image * 255).round() / 255, sample.image, rtol=0, atol=0)


def test_an_image_depends_on_its_seed_and_index_alone() -> None:
    few, many = zoo.aircraft(count=3, seed=5), zoo.aircraft(count=50, seed=5)
    backwards = [many[index] for index in (2, 1, 0)][::-1]
    for index in range(3):
        assert torch.equal(few[index].image, backwards[index].image)
        assert torch.equal(few[index].target, backwards[index].target)
    assert not torch.equal(few[0].image, few[1].image)
    assert not torch.equal(few[0].image, zoo.aircraft(count=3, seed=6)[0].image)


def test_a_changed_sample_does_not_change_the_data() -> None:
    data = zoo.aircraft(count=1)
    before = data[0].image.clone()
    data[0].image.zero_()
    data[0].target.zero_()
    assert torch.equal(data[0].image, before)
    assert data[0].target.abs().sum() > 0


def test_nearly_every_keypoint_is_labelled_and_some_are_hidden() -> None:
    data = zoo.aircraft(count=60, size=16)
    seen = torch.stack([data[index].target[:, 2] for index in range(60)])
    assert (seen == 0).float().mean() < 0.05
    assert 0.05 < (seen == 1).float().mean() < 0.25
    assert (seen == 2).any(dim=0).all(), "each keypoint is seen somewhere"


def test_the_left_wing_tip_is_right_of_the_right_one() -> None:
    data = zoo.aircraft(count=60, size=16)
    targets = torch.stack([data[index].target for index in range(60)])
    both = (targets[:, 1, 2] > 0) & (targets[:, 2, 2] > 0)
    assert (targets[both, 1, 0] > targets[both, 2, 0]).float().mean() > 0.85


def test_indices_end() -> None:
    data = zoo.aircraft(count=2, size=8)
    assert torch.equal(data[-1].image, data[1].image)
    for index in (2, -3):
        with pytest.raises(IndexError, match="below 2"):
            data[index]
    assert len(list(data)) == 2  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "count of at least 1 image, got 0"),
        ({"size": (64, 4)}, "at least 8x8 pixels, got 64x4"),
        ({"seed": -1}, "seed of at least 0, got -1"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        zoo.aircraft(**arguments)
