"""Errors of predictions, by hand."""

import pytest
import torch
from torch import nn

from usncli.errors import InputError
from usncli.loading.metrics import (
    accuracy,
    error_on_data,
    prediction_error,
    prediction_errors,
    require_matching_labels,
)
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Colour, KeypointUnits, Preprocessing
from usncli.types import Sample, Task

SHAPE = (8, 8)


def test_keypoint_error_is_the_mean_distance_over_labelled_keypoints() -> None:
    outputs = torch.tensor([[[0.0, 0.0], [3.0, 4.0]], [[1.0, 1.0], [7.0, 7.0]]])
    targets = torch.tensor([[[0.0, 0.0, 2.0], [0.0, 0.0, 1.0]], [[1.0, 3.0, 2.0], [0.0, 0.0, 0.0]]])
    assert prediction_errors(Task.KEYPOINTS, outputs, targets, SHAPE).tolist() == [0.0, 5.0, 2.0]
    assert prediction_error(Task.KEYPOINTS, outputs, targets, SHAPE).item() == pytest.approx(7 / 3)


def test_heatmap_error_is_that_of_the_peak() -> None:
    maps = torch.zeros(1, 2, 4, 4)
    maps[0, 0, 0, 0] = maps[0, 1, 3, 2] = 1.0
    targets = torch.tensor([[[1.0, 1.0, 2.0], [5.0, 4.0, 2.0]]])
    assert prediction_errors(Task.HEATMAPS, maps, targets, SHAPE).tolist() == [0.0, 3.0]


def test_classification_error_is_the_share_of_wrong_classes() -> None:
    logits = torch.tensor([[2.0, 1.0], [0.0, 1.0], [5.0, 1.0], [0.0, 9.0]])
    targets = torch.tensor([0, 1, 1, -1])
    assert prediction_errors(Task.CLASSIFICATION, logits, targets, SHAPE).tolist() == [0.0, 0.0, 1.0]
    assert prediction_error(Task.CLASSIFICATION, logits, targets, SHAPE).item() == pytest.approx(1 / 3)
    assert accuracy(logits, targets).item() == pytest.approx(2 / 3)


def test_without_labels_there_is_no_error() -> None:
    assert prediction_errors(Task.KEYPOINTS, torch.zeros(2, 3, 2), torch.zeros(2, 0, 3), SHAPE).numel() == 0
    assert prediction_error(Task.CLASSIFICATION, torch.zeros(2, 3), torch.tensor([-1, -1]), SHAPE).isnan()


def test_labels_that_the_network_does_not_predict() -> None:
    with pytest.raises(InputError, match="predicts 3 keypoints and the data label 2"):
        prediction_errors(Task.KEYPOINTS, torch.zeros(1, 3, 2), torch.zeros(1, 2, 3), SHAPE)
    with pytest.raises(InputError, match="has 2 classes and the data label class 4"):
        prediction_errors(Task.CLASSIFICATION, torch.zeros(1, 2), torch.tensor([4]), SHAPE)


class Points:
    """Grey images of one brightness; the only keypoint, where labelled, is at (brightness, 0)."""

    task = Task.KEYPOINTS
    label_names = ("tip",)

    def __init__(self, *labels: bool, labelled: bool = True) -> None:
        self.labels = labels
        self.labelled = labelled

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Sample:
        value = index / 10
        target = torch.tensor([[value, 0.0, float(self.labels[index])]])
        return Sample(torch.full((1, 2, 2), value), target, str(index))


class TopRow(nn.Module):
    """Predicts (brightness + 3, 4) as one keypoint; batch norm notices a forward pass in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.norm(images)
        return torch.stack([images[:, 0, 0, 0] + 3, torch.full((len(images),), 4.0)], dim=1)


def pipeline() -> Pipeline:
    preprocessing = Preprocessing(2, 2, Colour.GREY, keypoint_units=KeypointUnits.PIXEL)
    return Pipeline(TopRow(), preprocessing, Task.KEYPOINTS)


def test_error_on_data_weighs_every_label_alike() -> None:
    data = Points(True, False, True, True)
    assert error_on_data(pipeline().eval(), data, batch_size=3) == pytest.approx(5.0)
    assert error_on_data(pipeline().eval(), data, batch_size=2) == pytest.approx(5.0)
    with pytest.raises(InputError, match="needs labels"):
        error_on_data(pipeline(), Points(True, labelled=False))


def test_matching_labels() -> None:
    network = pipeline().train()
    before = network.network.norm.running_mean.clone()
    data = Points(True)
    require_matching_labels(network, data)
    assert network.network.norm.training, "the modes of all modules are restored"
    assert torch.equal(network.network.norm.running_mean, before), "the check trains nothing"
    data.label_names = ("tip", "tail")
    with pytest.raises(InputError, match=r"predicts 1 keypoints and the data name 2 \(tip, tail\)"):
        require_matching_labels(network, data)
    data.labelled = False
    require_matching_labels(network, data)
