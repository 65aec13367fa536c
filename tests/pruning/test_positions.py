import pytest
import torch
from torch import nn

from usncli.loading.capture import capture
from usncli.pruning.positions import POSITIONS, layers_before_relu, position_grid, tapped_activations
from usncli.scoring.activations import record_activations


class Block(nn.Module):
    """A residual sum, whose gradient goes to two layers at once, and an operation in place."""

    def __init__(self, in_place):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm, self.relu = nn.BatchNorm2d(4), nn.ReLU(inplace=in_place)
        self.before, self.head = nn.Conv2d(4, 4, 1), nn.Linear(4, 2)

    def forward(self, images):
        stem = self.first(images)
        hidden = self.relu(self.norm(self.second(self.relu(stem + 0))) + stem)
        hidden = self.relu(self.before(hidden))
        return self.head(hidden.flatten(2).transpose(1, 2)).sum(dim=1)


LAYERS = ("first", "norm", "before", "head")


def test_the_grid_is_even_small_and_shifts_over_the_whole_map():
    seen = torch.zeros(40, 40, dtype=torch.bool)
    for step in range(400):
        place = torch.zeros(40, 40, dtype=torch.bool)
        place[position_grid(place.shape, step)] = True
        assert POSITIONS / 2 <= place.sum() <= POSITIONS
        seen |= place
    assert seen.float().mean() > 0.9
    assert position_grid(torch.Size([4, 4]), 3) == (slice(0, None, 1),) * 2
    assert position_grid(torch.Size([]), 3) == ()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("captured", [False, True])
def test_taken_activations_and_gradients_are_those_of_slices_of_whole_ones(layout, captured):
    torch.manual_seed(0)
    network = Block(in_place=not captured).double()
    images = torch.rand(2, 3, 40, 40, dtype=torch.float64).to(memory_format=layout)
    network = capture(network, images) if captured else network
    if captured:
        assert layers_before_relu(network) == {"before"}
    generator = torch.Generator().manual_seed(1)
    weights = {}

    def gradients(activations, outputs):
        for name, values in activations.items():
            weights.setdefault(name, torch.randn(values.shape, generator=generator, dtype=torch.float64))
        total = outputs.square().sum() + sum((weights[name] * activations[name].sin()).sum() for name in LAYERS)
        return torch.autograd.grad(total, list(network.parameters()))

    with tapped_activations(network, LAYERS, 7) as taken:
        found = gradients(taken, network(images))
    with record_activations(network, LAYERS) as recorded:
        outputs = network(images)
        parts = {
            name: values[(slice(None), slice(None), *position_grid(values.shape[2:], 7))]
            for name, values in recorded.items()
        }
        expected = gradients(parts, outputs)
    assert all(torch.equal(taken[name], parts[name]) for name in LAYERS)
    assert taken["norm"].shape[2] < 40
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-10, atol=1e-12)


def test_what_is_taken_alone_still_has_a_gradient():
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 1, 1))
    with tapped_activations(network, ["0"], 0) as taken:
        network(torch.rand(1, 1, 20, 20))
    taken["0"].sum().backward()
    assert network[0].bias.grad.tolist() == [taken["0"][0, 0].numel()] * 2
    assert network[1].weight.grad is None
