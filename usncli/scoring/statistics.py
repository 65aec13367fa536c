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

from typing import NamedTuple

import torch
from torch import Tensor

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


def instability_terms(
    z_clean: Tensor, z_perturbed: Tensor, weights: Tensor, variance_factor: float = 1.0
) -> InstabilityTerms:
    """Return the terms of one layer's channels on one batch of images.

    Args:
        z_clean: ``(images, channels, ...)``, the layer's activations on the images.
        z_perturbed: ``(images, samples, channels, ...)``, on the perturbed images.
        weights: ``(samples,)``, of the expectation over theta, summing to 1; see `ThetaSample`.
        variance_factor: see `ThetaSample`.

    Returns:
        Terms with gradients with respect to both activations.
    """
    weights = weights.to(z_clean).view(1, -1, *[1] * (z_clean.dim() - 1))
    shift = z_perturbed - z_clean.unsqueeze(1)
    mean_shift = (weights * shift).sum(1)
    variance = (weights * (shift - mean_shift.unsqueeze(1)).square()).sum(1) * variance_factor
    channels = (0, *range(2, z_clean.dim()))
    signal_variance = z_clean.var(channels, correction=0)
    return normalised_terms(
        mean_shift.abs().mean(channels), variance.mean(channels), z_clean.mean(channels), signal_variance
    )


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
