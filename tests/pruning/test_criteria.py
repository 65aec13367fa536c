import pytest
import torch
from torch import fx

from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Colour, Preprocessing
from usncli.perturbing import parse_range
from usncli.pruning.criteria import (
    ScoringContext,
    batch_norm_importance,
    looseness,
    looseness_importance,
    magnitude_importance,
    make_criterion,
    random_importance,
    relu_stability_importance,
    taylor_importance,
    usn_importance,
)
from usncli.pruning.criteria.looseness import channel_looseness
from usncli.pruning.fitting import image_size
from usncli.pruning.masks import ChannelMasker
from usncli.pruning.options import Criterion, MaskOptions
from usncli.pruning.task_losses import task_loss
from usncli.pruning.training_images import read_training_images
from usncli.scoring.activations import record_activations
from usncli.scoring.groups import dependency_groups
from usncli.types import Task

RANGES = (parse_range("brightness=0.1"), parse_range("contrast=0.2"))


@pytest.fixture
def context(make_pipeline, dots):
    pipeline = make_pipeline()
    groups = dependency_groups(pipeline.network, torch.zeros(2, 1, 8, 8))
    images = read_training_images(dots, torch.device("cpu"))
    return ScoringContext(pipeline, groups, images, RANGES, MaskOptions(scoring_images=24), 0, 10)


@pytest.mark.parametrize("criterion", [criterion for criterion in Criterion if criterion != Criterion.NONE])
def test_a_criterion_gives_one_number_a_channel_and_leaves_the_network_alone(context, criterion):
    network = context.pipeline.network.train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    values = make_criterion(criterion)(context)
    assert [tuple(part.shape) for part in values] == [(6,), (8,)]
    assert all(part.isfinite().all() and (part >= 0).all() for part in values)
    assert network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    again = make_criterion(criterion)(context)
    assert all(torch.equal(first, second) for first, second in zip(values, again, strict=True))


def test_none_is_no_criterion():
    assert make_criterion(Criterion.NONE) is None


def test_usn_ranks_a_channel_that_follows_brightness_below_one_that_does_not(context):
    first = context.pipeline.network.first
    with torch.no_grad():
        first.weight[0] = 1.0  # the sum of its surroundings: brightness moves it
        first.weight[1] = torch.tensor([[-1.0, 0, 1], [-1, 0, 1], [-1, 0, 1]])  # a difference: it does not, inside
        first.bias.zero_()
    importance = usn_importance(context)[0]
    assert importance[0] < importance[1]
    assert 0 <= importance.min() <= importance.max() <= 1


def test_magnitude_by_hand(context):
    network = context.pipeline.network
    with torch.no_grad():
        network.second.weight.zero_()
        network.second.weight[:, 0, 0, 0] = torch.arange(8.0)
    expected = torch.arange(8.0).double() / 3.5
    assert torch.allclose(magnitude_importance(context)[1], expected)


def test_taylor_is_zero_for_a_channel_without_effect_and_foresees_a_cut(context):
    pipeline = context.pipeline
    with torch.no_grad():
        pipeline.network.norm.weight[2] = 0.0
        pipeline.network.norm.bias[2] = -1.0  # relu never lets it through
    importance = taylor_importance(context)[0]
    assert importance[2] == 0.0
    batch = context.images.take(torch.tensor(context.chosen_images()))

    def loss():
        with torch.no_grad():
            return task_loss(pipeline(batch.images), batch.targets, pipeline.task, image_size(pipeline)).item()

    before, changes = loss(), []
    for channel in range(6):
        saved = {name: tensor.clone() for name, tensor in pipeline.network.state_dict().items()}
        masker = ChannelMasker(pipeline.network, context.groups)
        masks = {group.name: torch.zeros(group.channels, dtype=torch.bool) for group in context.groups}
        masks["first"][channel] = True
        masker.extend(masks)
        changes.append(abs(loss() - before))
        pipeline.network.load_state_dict(saved)
    assert changes[2] < 1e-6
    assert torch.corrcoef(torch.stack([importance, torch.tensor(changes).double()]))[0, 1] > 0.3


def test_random_depends_on_the_seed_alone(context):
    later = ScoringContext(**vars(context) | {"step": 500})
    other = ScoringContext(**vars(context) | {"seed": 1})
    assert torch.equal(random_importance(context)[0], random_importance(later)[0])
    assert not torch.equal(random_importance(context)[0], random_importance(other)[0])


def test_batch_norm_by_hand(context):
    network = context.pipeline.network
    with torch.no_grad():
        network.norm.weight.copy_(torch.tensor([0.0, -1.0, 2.0, -3.0, 4.0, 2.0]))
    importances = batch_norm_importance(context)
    assert torch.allclose(importances[0], torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 1.0]).double())
    # The second layer has no batch norm.
    assert torch.equal(importances[1], torch.ones(8).double())


def test_relu_stability_by_hand(context):
    """By the formula, of one layer whose least and greatest values over the grid are taken by themselves."""
    pipeline, network = context.pipeline.eval(), context.pipeline.network
    with torch.no_grad():
        network.norm.bias[1] = 20.0  # never near 0
        network.norm.weight[2] = 0.0  # always the same
    importances = relu_stability_importance(context)
    images = context.images.take(torch.tensor(context.chosen_images())).images
    parts = []
    for chosen in RANGES:
        thetas = torch.linspace(chosen.lower[0], chosen.upper[0], 5).double().unsqueeze(1)
        with torch.no_grad(), record_activations(network, ["norm"]) as recorded:
            pipeline(images)
            clean = recorded["norm"].double()
            pipeline(chosen.perturbation.expand(images, thetas))
            values = torch.cat([clean.unsqueeze(1), recorded["norm"].double().unflatten(0, (len(images), 5))], dim=1)
        units = values.amin(dim=1) * values.amax(dim=1) / clean.var((0, 2, 3), correction=0).view(1, -1, 1, 1)
        parts.append(((1 + torch.tanh(1 + units)) / 2).mean((0, 2, 3)))
    expected = torch.stack(parts).mean(dim=0)
    alive = [0, 1, 3, 4, 5]
    assert torch.allclose(importances[0][alive], expected[alive], rtol=1e-6)
    assert importances[0][1] > 0.99
    assert importances[0][2] == 0.0
    assert bool((importances[1] <= 1).all())


def test_looseness_by_hand(context):
    """What is worth nothing goes first; a channel whose ReLUs never change sign costs nothing and stays longest."""
    network = context.pipeline.network.eval()
    with torch.no_grad():
        network.norm.bias[1] = 20.0
        network.norm.weight[2], network.norm.bias[2] = 0.0, -1.0
    worth, cost = taylor_importance(context)[0], channel_looseness(context)
    importance = looseness_importance(context)[0]
    assert cost[0][1] == cost[0][2] == 0.0
    assert sum(part.sum() for part in cost) == pytest.approx(1.0)
    assert importance[1] == 1.0
    assert importance[2] == worth[2] == 0.0
    rest = [0, 3, 4, 5]
    share = worth[rest] / sum(part.sum() for part in taylor_importance(context))
    assert torch.allclose(importance[rest], share / (share + cost[0][rest]))


def test_a_channel_that_the_outputs_hear_louder_is_looser(context, monkeypatch):
    """Ten times the weights out of a channel are ten times its error in the outputs."""
    monkeypatch.setattr(looseness, "PIECES", 1)  # so that many channels err in every image
    network = context.pipeline.network.eval()
    before = channel_looseness(context)[1]
    loud, other = before.sort(descending=True).indices[:2].tolist()
    with torch.no_grad():
        network.last.weight[:, loud * 9 : (loud + 1) * 9] *= 10
    after = channel_looseness(context)[1]
    assert after[loud] / after[other] > 5 * before[loud] / before[other]


def test_layers_that_no_activation_reads_cost_nothing(dots):
    class Straight(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Conv2d(1, 4, 3), torch.nn.Conv2d(4, 5, 3)
            self.last = torch.nn.Linear(5 * 16, 2)

        def forward(self, x):
            aten = torch.ops.aten
            return self.last(aten.flatten.using_ints(self.second(aten.relu.default(self.first(x))), 1))

    pipeline = Pipeline(fx.symbolic_trace(Straight()), Preprocessing(8, 8, Colour.GREY, (0.3,), (0.2,)), Task.KEYPOINTS)
    groups = dependency_groups(pipeline.network, torch.zeros(2, 1, 8, 8))
    images = read_training_images(dots, torch.device("cpu"))
    context = ScoringContext(pipeline, groups, images, RANGES, MaskOptions(scoring_images=24), 0, 10)
    found = dict(zip((group.name for group in groups), channel_looseness(context), strict=True))
    assert found["first"].sum() == pytest.approx(1.0)
    assert torch.equal(found["second"], torch.zeros(5).double())
