from __future__ import annotations

import pytest
import torch

from usncli.perturbing import parse_range
from usncli.perturbing.sampling import ThetaSample, sample_theta
from usncli.scoring import workspace
from usncli.scoring.accumulation import ActivationSums
from usncli.scoring.layer_reducer import LayerReducer
from usncli.scoring.reduction import LayerShape, ThetaWeights, reduce_activations, theta_weights
from usncli.scoring.statistics import instability_terms
from usncli.scoring.workspace import Workspace


def reduce(z: torch.Tensor, weights: ThetaWeights) -> torch.Tensor:
    """Reduce one layer, ``(images, 1 + samples, channels, positions)``."""
    return reduce_activations(z.flatten(2), [LayerShape(*z.shape[2:])], weights, Workspace())[0]


def sample(method: str, samples: int) -> ThetaSample:
    return sample_theta(parse_range("brightness=0.1"), method, samples, torch.Generator().manual_seed(1))


def activations(images: int, samples: int, spread: float) -> torch.Tensor:
    torch.manual_seed(0)
    clean = 5 + torch.randn(images, 1, 3, 7, dtype=torch.float64)
    return clean + spread * torch.cat([torch.zeros(images, 1, 3, 7), torch.randn(images, samples, 3, 7)], dim=1)


@pytest.mark.parametrize(("method", "halves"), [("quadrature", False), ("monte-carlo", True), ("sobol", True)])
@pytest.mark.parametrize("batch", [1, 4, 9])
def test_sums_over_batches_equal_the_formulas_on_everything_at_once(method: str, halves: bool, batch: int) -> None:
    z, thetas = activations(9, 6, 0.3), sample(method, 6)
    sums = ActivationSums(blocks=4)
    for first in range(0, 9, batch):
        piece = z[first : first + batch]
        sums.add([("layer", reduce(piece, theta_weights(thetas, halves=halves, like=z)))], first)
    expected = instability_terms(z, thetas.weights, thetas.variance_factor)
    for part, reference in zip(sums.terms(torch.ones(1, 4)), expected, strict=True):
        torch.testing.assert_close(part[0], reference, rtol=1e-12, atol=0)


def test_chosen_blocks_are_chosen_images() -> None:
    z, thetas = activations(9, 6, 0.3), sample("quadrature", 6)
    sums = ActivationSums(blocks=4)
    sums.add([("layer", reduce(z, theta_weights(thetas, halves=False, like=z)))], 0)
    chosen = z[[0, 2, 4, 6, 8]]
    expected = instability_terms(chosen, thetas.weights)
    for part, reference in zip(sums.terms(torch.tensor([[1, 0, 1, 0]])), expected, strict=True):
        torch.testing.assert_close(part[0], reference, rtol=1e-12, atol=0)


@pytest.mark.parametrize("method", ["monte-carlo", "sobol"])
@pytest.mark.parametrize("samples", [6, 7])
def test_each_half_of_the_thetas_has_its_own_mean_and_variance(method: str, samples: int) -> None:
    z, thetas = activations(5, samples, 0.3), sample(method, samples)
    sums = ActivationSums(blocks=2)
    sums.add([("layer", reduce(z, theta_weights(thetas, halves=True, like=z)))], 0)
    halves = (z[:, 1:4], z[:, 4:])
    for number, half in enumerate(halves):
        count = half.shape[1]
        factor = count / (count - 1) if method == "monte-carlo" else 1.0
        together = torch.cat([z[:, :1], half], dim=1)
        expected = instability_terms(together, torch.full((count,), 1 / count, dtype=torch.float64), factor)
        for part, reference in zip(sums.half_terms(number), expected, strict=True):
            torch.testing.assert_close(part[0], reference, rtol=1e-10, atol=0)


@pytest.mark.parametrize("spread", [1e-1, 1e-3])
def test_float32_loses_no_digits_to_cancellation(spread: float) -> None:
    z, thetas = activations(6, 8, spread).float(), sample("quadrature", 8)
    sums = ActivationSums(blocks=3)
    sums.add([("layer", reduce(z, theta_weights(thetas, halves=False, like=z)))], 0)
    exact = instability_terms(z.double(), thetas.weights)
    terms = sums.terms(torch.ones(1, 3))
    torch.testing.assert_close(terms.unbiased[0], exact.unbiased, rtol=3e-7 / spread, atol=0)
    torch.testing.assert_close(terms.smooth[0], exact.smooth, rtol=3e-6, atol=0)
    torch.testing.assert_close(terms.signal[0], exact.signal, rtol=1e-6, atol=0)


def test_pieces_that_fit_a_cache_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    z, weights = (
        activations(5, 6, 0.3),
        theta_weights(sample("monte-carlo", 6), halves=True, like=torch.zeros(()).double()),
    )
    whole = reduce(z, weights)
    monkeypatch.setattr(workspace, "CPU_CHUNK", z[:2].numel())
    assert whole.shape == (8, 5, 3)
    torch.testing.assert_close(reduce(z, weights), whole, rtol=1e-13, atol=0)


def test_sums_stay_small_and_name_layers_that_are_not_finite() -> None:
    sums = ActivationSums(blocks=2)
    bad = torch.ones(4, 3, 2)
    bad[1, 0, 1] = torch.nan
    for first in range(0, 30, 3):
        sums.add([("good", torch.ones(4, 3, 5)), ("bad", bad)], first)
    assert sums.sums is not None
    assert sums.sums.shape == (2, 5, 7)
    assert sums.counts.tolist() == [15, 15]
    assert sums.not_finite() == ("bad",)


def test_layers_that_are_reduced_together_give_what_each_gives_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = theta_weights(sample("monte-carlo", 4), halves=True, like=torch.zeros(()))
    layers = [torch.randn(3 * 5, *shape) for shape in [(2, 3, 3), (4,), (2, 8, 8), (3, 2, 2), (5,)]]
    monkeypatch.setattr(workspace, "CPU_CHUNK", 15 * 30)
    reducer = LayerReducer(3, weights, Workspace())
    for number, layer in enumerate(layers):
        changed = layer.clone()
        reducer.read(str(number), changed)
        changed.relu_()
    results = reducer.results()
    assert [name for name, _ in results] == ["0", "1", "2", "3", "4"]
    for layer, (_, together) in zip(layers, results, strict=True):
        alone = reduce(layer.reshape(3, 5, layer.shape[1], -1), weights)
        torch.testing.assert_close(together, alone)
