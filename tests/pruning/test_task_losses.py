import math

import pytest
import torch

from usncli.loading.heatmaps import peaks
from usncli.pruning.task_losses import heatmap_loss, keypoint_loss, task_loss
from usncli.types import Task


def test_keypoint_loss_by_hand():
    # an image 100 wide and 50 high: the unit is 2 px across and 1 px down
    predictions = torch.tensor([[[10.0, 20.0], [0.0, 0.0]]])
    targets = torch.tensor([[[11.0, 23.0, 2.0], [90.0, 40.0, 0.0]]])
    # x: 1/2 unit off, 0.5 * 0.25; y: 3 units off, 3 - 0.5; their mean; the unlabelled keypoint does not count
    assert keypoint_loss(predictions, targets, (50, 100)).item() == pytest.approx((0.125 + 2.5) / 2)


def test_keypoint_loss_of_a_batch_without_labels_is_zero():
    assert keypoint_loss(torch.ones(2, 3, 2), torch.zeros(2, 3, 3), (8, 8)).item() == 0.0


def test_heatmap_loss_of_flat_maps_is_the_logarithm_of_the_cells():
    targets = torch.tensor([[[8.0, 8.0, 1.0], [1.0, 1.0, 0.0]]])
    assert heatmap_loss(torch.zeros(1, 2, 4, 8), targets, (16, 16)).item() == pytest.approx(math.log(32))


def test_heatmap_loss_moves_the_peak_to_the_keypoint():
    targets = torch.tensor([[[10.0, 6.0, 1.0]]])
    maps = torch.zeros(1, 1, 8, 8, requires_grad=True)
    optimiser = torch.optim.SGD([maps], lr=20.0)
    for _ in range(20):
        optimiser.zero_grad()
        heatmap_loss(maps, targets, (16, 16)).backward()
        optimiser.step()
    assert (peaks(maps.detach(), (16, 16)) - targets[..., :2]).abs().max() <= 1.0


def test_classification_uses_cross_entropy():
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    expected = (math.log(1 + math.exp(-2)) + math.log(2)) / 2
    assert task_loss(logits, torch.tensor([0, 1]), Task.CLASSIFICATION, (8, 8)).item() == pytest.approx(expected)
