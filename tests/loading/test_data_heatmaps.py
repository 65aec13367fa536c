"""Heatmaps and coordinates agree on where a pixel is."""

import math

import pytest
import torch

from usncli.loading.heatmaps import cell_centres, gaussian_heatmaps, peaks


def test_cells_lie_where_the_convention_says() -> None:
    x, y = cell_centres((2, 4), (10, 8))
    assert x.tolist() == [1.0, 3.0, 5.0, 7.0]
    assert y.tolist() == [2.5, 7.5]


def test_a_map_as_fine_as_the_image_has_pixel_centres() -> None:
    x, y = cell_centres((3, 3), (3, 3))
    assert x.tolist() == y.tolist() == [0.5, 1.5, 2.5]


def test_gaussian_by_hand() -> None:
    maps = gaussian_heatmaps(torch.tensor([[[3.0, 7.5, 2.0]]]), (2, 4), (10, 8), sigma=1.0)
    assert maps.shape == (1, 1, 2, 4)
    assert maps[0, 0, 1, 1] == 1.0
    one, both = math.exp(-0.5), math.exp(-1.0)
    expected = torch.tensor([[both, one, both, math.exp(-2.5)], [one, 1.0, one, math.exp(-2.0)]])
    torch.testing.assert_close(maps[0, 0], expected)


def test_peaks_find_keypoints_to_within_half_a_cell() -> None:
    generator = torch.Generator().manual_seed(0)
    height, width, stride = 24, 40, 4
    xy = torch.rand(6, 5, 2, generator=generator) * torch.tensor([width, height])
    keypoints = torch.cat([xy, torch.ones(6, 5, 1)], dim=2)
    maps = gaussian_heatmaps(keypoints, (height // stride, width // stride), (height, width), sigma=0.8)
    assert maps.min() >= 0
    assert maps.max() <= 1
    assert (peaks(maps, (height, width)) - xy).abs().max() <= stride / 2 + 1e-5


def test_a_peak_is_its_cells_centre_x_before_y() -> None:
    maps = torch.zeros(1, 2, 2, 4)
    maps[0, 0, 1, 3] = 1.0
    maps[0, 1, 0, 1] = maps[0, 1, 1, 2] = 1.0
    assert peaks(maps, (10, 8)).tolist() == [[[7.0, 7.5], [3.0, 2.5]]]
    assert peaks(maps.double(), (10, 8)).dtype == torch.float64


def test_what_is_not_labelled_has_an_empty_map() -> None:
    keypoints = torch.tensor([[[3.0, 3.0, 0.0], [3.0, 3.0, 1.0]]])
    maps = gaussian_heatmaps(keypoints, (4, 4), (8, 8), sigma=1.0)
    assert maps[0, 0].abs().max() == 0
    assert maps[0, 1].max() > 0.7
    assert gaussian_heatmaps(torch.zeros(2, 0, 3), (4, 4), (8, 8), sigma=1.0).shape == (2, 0, 4, 4)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="sigma"):
        gaussian_heatmaps(torch.zeros(1, 1, 3), (2, 2), (4, 4), sigma=0.0)
    with pytest.raises(ValueError, match=r"keypoints: expected shape \(batch, keypoints, 3\), got \(1, 1, 2\)"):
        gaussian_heatmaps(torch.zeros(1, 1, 2), (2, 2), (4, 4), sigma=1.0)
    with pytest.raises(ValueError, match="heatmaps: expected shape"):
        peaks(torch.zeros(1, 2, 2), (4, 4))
