import pytest
import torch

from usncli.perturbing import parse_range
from usncli.perturbing.sampling import ThetaSample
from usncli.pruning.options import LOSSES, LossOptions
from usncli.pruning.stability import StabilityLoss, stability_losses, terms_of_layers
from usncli.pruning.wasserstein import Separation
from usncli.scoring.groups import dependency_groups
from usncli.scoring.statistics import InstabilityTerms, instability_terms
from usncli.types import Batch

WEIGHTS = [f"{name}_weight" for name in LOSSES]


def make_loss(pipeline, seed=0, ranges=("brightness=0.1", "contrast=0.2"), **weights):
    groups = dependency_groups(pipeline.network, torch.zeros(2, 1, 8, 8))
    parsed = tuple(parse_range(text) for text in ranges)
    chosen = LossOptions(**dict.fromkeys(WEIGHTS, 0.0) | weights)
    return StabilityLoss(pipeline, groups, parsed, chosen, Separation((6, 8), 0.2), seed, 100)


def batch_of(dots, count=16):
    samples = [dots[index] for index in range(count)]
    images, targets = (torch.stack([sample[part] for sample in samples]) for part in (0, 1))
    return Batch(images, targets, tuple(sample.name for sample in samples))


def test_losses_by_hand():
    terms = InstabilityTerms(
        torch.tensor([1.0, 0.5, 0.0, 0.0]), torch.tensor([1.0, 0.75, 1.0, 0.0]), torch.tensor([1.0, 2.0, 1.0, 0.0])
    )
    losses = stability_losses(terms, Separation((4,), 0.25))
    assert losses["unbiased"].item() == pytest.approx((1 + 0.25) / 3)
    assert losses["smooth"].item() == pytest.approx(2.75 / 3)
    # instabilities 2, 1, 1, dead; median 1; importances 1/3, 1/2, 1/2, 0 against the target 1, 1, 1, 0
    assert losses["wasserstein"].item() == pytest.approx((2 / 3 + 1 / 2 + 1 / 2) / 4)


def test_total_is_the_weighted_sum_and_weights_of_zero_leave_the_task(make_pipeline, dots):
    pipeline, batch = make_pipeline(), batch_of(dots)
    weights = {"unbiased_weight": 0.5, "smooth_weight": 2.0, "wasserstein_weight": 3.0}
    loss = make_loss(pipeline, **weights)(batch, 0)
    terms = loss.terms
    expected = terms["task"] + 0.5 * terms["unbiased"] + 2 * terms["smooth"] + 3 * terms["wasserstein"]
    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-5)
    steadier = make_loss(pipeline, **weights, consistency_weight=5.0)(batch, 0)
    assert steadier.total.item() == pytest.approx((loss.total + 5 * steadier.terms["consistency"]).item(), rel=1e-5)
    assert steadier.terms["consistency"] > 0
    on_all = make_loss(pipeline, **weights, perturbed_weight=5.0)(batch, 0)
    assert on_all.total.item() == pytest.approx((loss.total + 5 * on_all.terms["perturbed"]).item(), rel=1e-5)
    assert on_all.terms["perturbed"] != on_all.terms["task"]
    bare = make_loss(pipeline, unbiased_weight=0.0, smooth_weight=0.0, wasserstein_weight=0.0)(batch, 0)
    assert bare.total.item() == bare.terms["task"].item()
    assert torch.allclose(loss.predictions, pipeline(batch.images), atol=1e-4)  # of the clean images, in their order


def test_weights_grow_along_their_ramps(make_pipeline, dots):
    pipeline, batch = make_pipeline(), batch_of(dots)
    weights = {"unbiased_weight": 0.5, "smooth_weight": 2.0, "wasserstein_weight": 3.0}
    loss = make_loss(pipeline, **weights, ramps={"smooth": (0.2, 0.6), "wasserstein": (0.5, 0.5)})
    for step, smooth, wasserstein in ((0, 0.0, 0.0), (30, 0.5, 0.0), (50, 1.5, 3.0), (80, 2.0, 3.0)):
        result = loss(batch, step)
        terms = result.terms
        expected = terms["task"] + 0.5 * terms["unbiased"] + smooth * terms["smooth"]
        assert result.total.item() == pytest.approx((expected + wasserstein * terms["wasserstein"]).item(), rel=1e-5)


def test_thetas_depend_on_seed_and_step_and_ranges_take_turns(make_pipeline):
    loss = make_loss(make_pipeline())
    assert torch.equal(loss.thetas(3).theta, loss.thetas(3).theta)
    assert not torch.equal(loss.thetas(3).theta, loss.thetas(5).theta)
    assert not torch.equal(loss.thetas(3).theta, make_loss(make_pipeline(), seed=1).thetas(3).theta)
    assert loss.perturbation(0).parameters == loss.perturbation(2).parameters == ("brightness",)
    assert loss.perturbation(1).parameters == ("contrast",)


@pytest.mark.parametrize("weight", ["unbiased_weight", "smooth_weight"])
def test_lowering_a_stability_loss_steadies_the_activations(make_pipeline, dots, weight):
    pipeline, batch = make_pipeline(), batch_of(dots)
    zero = dict.fromkeys(("unbiased_weight", "smooth_weight", "wasserstein_weight"), 0.0)
    loss = make_loss(pipeline, ranges=("brightness=0.1",), **zero | {weight: 500.0})
    optimiser = torch.optim.Adam(pipeline.network.parameters(), lr=1e-2)
    pipeline.network.train()
    name = weight.removesuffix("_weight")

    def movement():
        with torch.no_grad():
            return sum(loss(batch, step).terms[name].item() for step in range(1000, 1010))

    before = movement()
    for step in range(40):
        optimiser.zero_grad()
        loss(batch, step).total.backward()
        optimiser.step()
    assert movement() < 0.5 * before


def test_without_groups_predictions_are_steadied(make_pipeline, dots):
    pipeline, batch = make_pipeline(), batch_of(dots)
    options = LossOptions(0.0, 0.0, 0.0, consistency_weight=2.0)
    loss = StabilityLoss(pipeline, (), (parse_range("brightness=0.1"),), options, Separation((), 0.0), 0, 10)(batch, 0)
    assert set(loss.terms) == {"task", "consistency", "perturbed"}
    assert loss.total.item() == pytest.approx((loss.terms["task"] + 2 * loss.terms["consistency"]).item())


def test_masked_channels_do_not_count(make_pipeline, dots):
    """Dead channels have importance 0, which is what the target asks of the pruned share."""
    pipeline, batch = make_pipeline(), batch_of(dots)
    with torch.no_grad():
        for part in (pipeline.network.norm.weight, pipeline.network.norm.bias):
            part[:3] = 0.0
    result = make_loss(pipeline, wasserstein_weight=1.0)(batch, 0)
    result.total.backward()
    assert all(parameter.grad.isfinite().all() for parameter in pipeline.network.parameters())
    assert result.total.isfinite()


def test_layers_worked_on_together_have_the_terms_that_they_have_alone():
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 4, 4), (5,), (2, 4, 4), (4, 2, 2), (1,)]
    picked = [torch.randn(6, *shape, generator=generator) for shape in shapes]
    thetas = ThetaSample(torch.zeros(2, 1), torch.tensor([0.3, 0.7]), 2.0)
    together = terms_of_layers(picked, 2, thetas)
    alone = [instability_terms(part.unflatten(0, (2, -1)), thetas.weights, 2.0) for part in picked]
    for found, parts in zip(together, zip(*alone, strict=True), strict=True):
        assert torch.allclose(found, torch.cat(parts))
