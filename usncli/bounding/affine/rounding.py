"""What rounding may add: the standard model of floating-point arithmetic, as Higham (2002) states it.

A sum of n products, executed in a format with unit roundoff u in any order and with or without fused multiply-adds,
differs from the exact one by at most ``gamma(n, u)`` times the sum of the products' absolute values (Higham, Accuracy
and Stability of Numerical Algorithms, section 3.1). Underflow adds at most `UNDERFLOW` where numbers are that small.
"""

from __future__ import annotations

import torch

UNDERFLOW = 1e-30
"""Absolute widening that covers results below the normal range of float32, of which a sum may hold up to 1e7."""
CENTRE = 2.0**-53
"""Unit roundoff of float64, which centres are held in."""
SUMMED = 1e-9
"""Relative widening of sums of up to 1e6 non-negative float64 numbers: above gamma(1e6, 2^-53)."""


def unit_roundoff(dtype: torch.dtype) -> float:
    """Return u, half the distance from 1 to the next number: 2^-53 for float64, 2^-24 for float32."""
    return torch.finfo(dtype).eps / 2


def gamma(terms: int, roundoff: float) -> float:
    """Return ``n u / (1 - n u)``, rounded up.

    Raises:
        ValueError: n u is not below 1/2, so that the bound says nothing.
    """
    product = terms * roundoff
    if not product < 0.5:
        raise ValueError(f"expected sums short enough for this precision, got {terms} terms at roundoff {roundoff:g}")
    return product / (1 - product) * (1 + 1e-12)
