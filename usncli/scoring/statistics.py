"""Unbiased and smooth part of a channel's instability: the formulas, differentiable, for losses as for scores.

The formulas are ours, built to agree with the summary of arXiv 2510.00083 (Definition 3.2) that we hold. With z_j the
pre-activation of channel j (after batch norm) at position p, and D_j(theta) = z_j(h(x, theta)) - z_j(x):

    unbiased_j    = mean over images x and positions p of |E_theta D_j|,                     divided by s_j
    smooth_j      = mean over images x and positions p of Var_theta D_j,                     divided by s_j^2
    s_j           = standard deviation of the clean z_j over images and positions, its signal
    instability_j = w_u unbiased_j^2 + w_s smooth_j
    importance_j  = 1 / (1 + instability_j / median)

So |E D| is averaged over positions and images first, and squared afterwards. The division makes a score independent of
the scale of a layer. With m independent draws of theta, |E D| is overestimated where the true mean is small beside the
spread, by up to sqrt(2 Var D / (pi m)); quadrature does not have this error.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

DEAD_SIGNAL = 1e-6
"""A channel is dead where its signal is at most this share of its root mean square: float32 cannot tell it from 0."""


class InstabilityTerms(NamedTuple):
    """The two parts of every channel's instability, and its signal.

    Attributes:
        unbiased: ``(channels,)``, at least 0, in units of the signal; 0 for a dead channel.
        smooth: ``(channels,)``, at least 0, in units of the squared signal; 0 for a dead channel.
        signal: ``(channels,)``, standard deviation of the clean activation; exactly 0 for a dead channel.
    """

    unbiased: Tensor
    smooth: Tensor
    signal: Tensor


def instability_terms(activations: Tensor, weights: Tensor, variance_factor: float = 1.0) -> InstabilityTerms:
    """Return the terms of one layer's channels on one batch of images.

    Args:
        activations: ``(images, 1 + samples, channels, ...)``: on each image, then on its perturbed versions.
        weights: ``(samples,)``, of the expectation over theta, summing to 1; see `ThetaSample`.
        variance_factor: see `ThetaSample`.

    Returns:
        Terms with gradients with respect to the activations; these are kept for them, and nothing else of their size.
    """
    return normalised_terms(*_Averages.apply(activations, weights.to(activations), variance_factor))


class _Averages(torch.autograd.Function):
    """Averages of |E D| and Var D, and mean and variance of the clean activations, by channel.

    With s_k = z_k - z_0, M = sum_k w_k s_k and N images and positions, the averages of |M| and of
    V = c sum_k w_k (s_k - M)^2 have, for k > 0, the derivatives

        d|M| / dz_k = w_k sign(M) / N,   dV / dz_k = 2 c w_k (s_k - M) / N

    since sum_k w_k (s_k - M) = 0; and as both depend on differences alone, their derivative by z_0 is minus the sum of
    those: -sign(M) / N and 0.
    """

    @staticmethod
    def forward(ctx: Any, activations: Tensor, weights: Tensor, variance_factor: float) -> tuple[Tensor, ...]:
        ctx.save_for_backward(activations, weights)
        ctx.variance_factor = variance_factor
        places = (0, *range(2, activations.dim() - 1))
        mean_shift, deviations = _shifts(activations, weights)
        count = mean_shift.numel() / max(mean_shift.shape[1], 1)
        variance = weights @ _squares(deviations, (0, *range(3, activations.dim())))
        mean, centred = _centred(activations[:, 0])
        return (
            torch.linalg.vector_norm(mean_shift, 1, places) / count,
            variance * (variance_factor / count),
            mean.flatten(),
            _squares(centred, places) / count,
        )

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, by_shift: Tensor, by_variance: Tensor, by_mean: Tensor, by_signal: Tensor
    ) -> tuple[Tensor, None, None]:
        activations, weights = ctx.saved_tensors
        mean_shift, deviations = _shifts(activations, weights)
        count = mean_shift.numel() / max(mean_shift.shape[1], 1)

        def spread(values: Tensor) -> Tensor:
            return values.div(count).view(-1, *[1] * (mean_shift.dim() - 2))

        by_mean_shift = mean_shift.sign_().mul_(spread(by_shift))
        deviations.mul_(spread(2 * ctx.variance_factor * by_variance)).add_(by_mean_shift.unsqueeze(1))
        gradient = torch.empty_like(activations)
        torch.mul(deviations, weights.view(1, -1, *[1] * (mean_shift.dim() - 1)), out=gradient[:, 1:])
        _, centred = _centred(activations[:, 0])
        torch.add(centred.mul_(spread(2 * by_signal)), spread(by_mean), out=gradient[:, 0]).sub_(by_mean_shift)
        return gradient, None, None


def _shifts(activations: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return E D ``(images, channels, ...)`` and D - E D ``(images, samples, channels, ...)``."""
    shifts = activations[:, 1:] - activations[:, :1]
    mean_shift = torch.zeros_like(shifts[:, 0])
    for shift, weight in zip(shifts.unbind(1), weights, strict=True):
        mean_shift.addcmul_(shift, weight)
    return mean_shift, shifts.sub_(mean_shift.unsqueeze(1))


def _centred(clean: Tensor) -> tuple[Tensor, Tensor]:
    """Return every channel's mean ``(1, channels, 1, ...)``, and activations ``(images, channels, ...)`` less it."""
    mean = clean.mean((0, *range(2, clean.dim())), keepdim=True)
    return mean, clean - mean


def _squares(values: Tensor, places: tuple[int, ...]) -> Tensor:
    """Return the sums of squares over some axes, in one pass."""
    norms: Tensor = torch.linalg.vector_norm(values, 2, places)
    return norms.square()


def normalised_terms(mean_shift: Tensor, variance: Tensor, mean: Tensor, signal_variance: Tensor) -> InstabilityTerms:
    """Divide the averages of |E D| and Var D by the signal.

    Args:
        mean_shift: ``(channels,)``, average of |E D|.
        variance: ``(channels,)``, average of Var D.
        mean: ``(channels,)``, of the clean activation.
        signal_variance: ``(channels,)``, of the clean activation.
    """
    dead = signal_variance <= DEAD_SIGNAL**2 * (mean.square() + signal_variance)
    safe = torch.where(dead, torch.ones_like(signal_variance), signal_variance)
    zero = torch.zeros_like(safe)
    return InstabilityTerms(
        torch.where(dead, zero, mean_shift / safe.sqrt()),
        torch.where(dead, zero, variance / safe),
        torch.where(dead, zero, safe.sqrt()),
    )


def instability(terms: InstabilityTerms, unbiased_weight: float = 1.0, smooth_weight: float = 1.0) -> Tensor:
    """Return w_u unbiased^2 + w_s smooth, ``(channels,)``; infinite for a dead channel."""
    total = unbiased_weight * terms.unbiased.square() + smooth_weight * terms.smooth
    return torch.where(terms.signal > 0, total, torch.full_like(total, torch.inf))


def importance(instability: Tensor, median: Tensor | None = None) -> Tensor:
    """Return 1 / (1 + instability / median), in [0, 1]: 1 never moves, 1/2 is the median, 0 is dead.

    Args:
        instability: ``(channels,)``, at least 0, of all prunable channels together; infinite where dead.
        median: what counts as half important; by default the median of the finite instabilities, with its gradient.

    Returns:
        ``(channels,)``, differentiable. A median of 0 is replaced by 1.
    """
    alive = instability.isfinite()
    if median is None:
        median = instability[alive].quantile(0.5) if alive.any() else instability.new_ones(())
    scale = torch.where(median > 0, median, torch.ones_like(median))
    finite = torch.where(alive, instability, torch.zeros_like(instability))
    return torch.where(alive, 1 / (1 + finite / scale), torch.zeros_like(instability))
