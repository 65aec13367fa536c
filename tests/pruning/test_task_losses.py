import math

import pytest
import torch

from usncli.loading.heatmaps import peaks
from usncli.pruning.task_losses import consistency_loss, heatmap_loss, keypoint_loss, task_loss
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


def test_consistency_of_keypoints_by_hand():
    # An image 100 wide and 50 high: the unit is 2 px across and 1 px down.
    clean = torch.tensor([[[10.0, 20.0]], [[0.0, 0.0]]])
    perturbed = clean.unsqueeze(1).repeat(1, 2, 1, 1)
    perturbed[0, 1, 0] += torch.tensor([4.0, 3.0])
    weights = torch.tensor([0.25, 0.75])
    found = consistency_loss(clean, perturbed, weights, Task.KEYPOINTS, (50, 100))
    assert found.item() == pytest.approx(0.75 * (4 + 9) / 2 / 2)


@pytest.mark.parametrize("task", [Task.CLASSIFICATION, Task.HEATMAPS])
def test_consistency_of_classes_and_cells_is_a_divergence(task):
    shape = (2, 6) if task == Task.CLASSIFICATION else (2, 3, 2, 3)
    generator = torch.Generator().manual_seed(0)
    clean, other = (torch.randn(2, *shape[1:], generator=generator) for _ in range(2))
    both = torch.stack([clean + 7.0, other], dim=1)
    one, half = torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5])
    alone, mixed = (consistency_loss(clean, both, weights, task, (8, 8)).item() for weights in (one, half))
    flat = [values.flatten(1 if task == Task.CLASSIFICATION else 2).softmax(dim=-1) for values in (clean, other)]
    expected = (flat[0] * (flat[0] / flat[1]).log()).sum(dim=-1).mean().item()
    assert alone == pytest.approx(0.0, abs=1e-6)  # what is added to all of them changes no prediction
    assert mixed == pytest.approx(expected / 2, rel=1e-5)


def test_classification_uses_cross_entropy():
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    expected = (math.log(1 + math.exp(-2)) + math.log(2)) / 2
    assert task_loss(logits, torch.tensor([0, 1]), Task.CLASSIFICATION, (8, 8)).item() == pytest.approx(expected)
