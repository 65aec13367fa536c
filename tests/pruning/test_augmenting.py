import math

import pytest
import torch

from usncli.errors import ConfigurationError
from usncli.pruning.augmenting import augmented, draw_movements, moved
from usncli.pruning.options import AugmentOptions
from usncli.types import Batch


def spots(positions, height=24, width=32):
    """Return one image a position, dark but for a soft spot there, and the spot as its keypoint."""
    rows, columns = torch.arange(height).double() + 0.5, torch.arange(width).double() + 0.5
    images = [
        torch.exp(-((columns[None] - x).square() + (rows[:, None] - y).square()) / 8).unsqueeze(0) for x, y in positions
    ]
    targets = torch.tensor([[[x, y, 2.0]] for x, y in positions])
    return Batch(torch.stack(images).float(), targets, tuple("abcdef"[: len(positions)]))


def centroids(images):
    total = images.double().sum(dim=(1, 2, 3))
    rows, columns = (torch.arange(size).double() + 0.5 for size in images.shape[-2:])
    x = (images.double().sum(dim=(1, 2)) * columns).sum(dim=1) / total
    y = (images.double().sum(dim=(1, 3)) * rows).sum(dim=1) / total
    return torch.stack([x, y], dim=1)


def test_keypoints_stay_on_what_they_mark():
    batch = spots([(14.0, 11.0), (18.5, 13.0), (16.0, 12.0), (13.0, 14.5)])
    options = AugmentOptions(rotation=180, scale=0.2, shift=0.05)
    linear, shift = draw_movements(4, options, torch.Generator().manual_seed(0))
    found = moved(batch, linear, shift)
    assert (found.targets[..., :2] - batch.targets[..., :2]).abs().amax() > 2
    assert torch.allclose(centroids(found.images), found.targets[:, 0, :2].double(), atol=0.1)
    assert torch.equal(found.targets[..., 2], batch.targets[..., 2])
    assert found.names == batch.names


def test_a_quarter_turn_by_hand():
    batch = spots([(20.0, 12.0)], 24, 32)
    quarter = torch.tensor([[[0.0, -1.0], [1.0, 0.0]]]).double()
    found = moved(batch, quarter, torch.zeros(1, 2).double())
    # p shows what was at (-y, x): what was 4 px to the right of the centre is 4 px above it.
    assert torch.allclose(found.targets, torch.tensor([[[16.0, 8.0, 2.0]]]), atol=1e-5)
    assert torch.allclose(centroids(found.images), torch.tensor([[16.0, 8.0]]).double(), atol=0.05)


def test_what_leaves_the_image_is_no_longer_labelled():
    batch = spots([(30.0, 12.0), (3.0, 12.0)])
    found = moved(batch, torch.eye(2).double().expand(2, 2, 2), torch.tensor([[-0.5, 0.0], [-0.5, 0.0]]).double())
    assert found.targets[:, 0].tolist() == [[38.0, 12.0, 0.0], [11.0, 12.0, 2.0]]


def test_classes_and_still_images_stay():
    batch = spots([(9.0, 9.0)])._replace(targets=torch.tensor([3]))
    found = moved(batch, torch.eye(2).double().unsqueeze(0), torch.zeros(1, 2).double())
    assert torch.equal(found.targets, batch.targets)
    assert torch.allclose(found.images, batch.images, atol=1e-5)
    assert augmented(len, AugmentOptions(), 0) is len


def test_movements_stay_within_their_ranges_and_reach_far():
    options = AugmentOptions(rotation=30, scale=0.1, shift=0.2)
    linear, shift = draw_movements(500, options, torch.Generator().manual_seed(1))
    factor = torch.linalg.det(linear).sqrt()
    angle = torch.atan2(linear[:, 1, 0], linear[:, 0, 0]).abs() * 180 / math.pi
    for values, largest in ((angle, 30), ((factor - 1).abs(), 0.1), (shift.abs(), 0.4)):
        assert 0.95 * largest < values.max() <= largest * (1 + 1e-9)


def test_movements_are_a_function_of_seed_and_step():
    batch = spots([(14.0, 11.0), (18.5, 13.0)])
    draws = [augmented(lambda step: batch, AugmentOptions(rotation=40), seed) for seed in (0, 0, 1)]
    assert torch.equal(draws[0](3).images, draws[1](3).images)
    assert not torch.equal(draws[0](3).images, draws[0](4).images)
    assert not torch.equal(draws[0](3).images, draws[2](3).images)


@pytest.mark.parametrize("values", [{"rotation": 200.0}, {"scale": 1.0}, {"shift": -0.1}])
def test_wrong_movements_are_refused(values):
    with pytest.raises(ConfigurationError, match=next(iter(values))):
        AugmentOptions(**values)
