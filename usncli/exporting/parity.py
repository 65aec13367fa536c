"""Does onnxruntime compute what PyTorch computes? On real images, alone and as a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from usncli.errors import ConfigurationError, ParityError
from usncli.exporting.runtime import Provider, run_onnx, session, usable_providers


@dataclass(frozen=True)
class Comparison:
    """PyTorch against onnxruntime on one batch.

    Attributes:
        provider: where onnxruntime computed.
        batch: number of images in the batch.
        largest_difference: largest absolute difference of any output, in units of the output; NaN if either side is
            not finite.
    """

    provider: Provider
    batch: int
    largest_difference: float

    def to_record(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return asdict(self)


def compare(model: bytes, inputs: Tensor, expected: Tensor) -> tuple[Comparison, ...]:
    """Compare at batch 1 and at the full batch, on every provider that loads.

    A single image is also compared as a batch of two, so that the batch dimension is always put to the test.

    Args:
        model: a serialised ONNX network.
        inputs: ``(batch, channels, height, width)``, what the exported graph takes.
        expected: PyTorch's outputs, first dimension ``batch``.
    """
    if inputs.shape[0] == 1:
        inputs, expected = inputs.repeat(2, 1, 1, 1), torch.cat([expected, expected])
    found = []
    for provider in usable_providers():
        try:
            opened = session(model, provider=provider)
        except ConfigurationError:
            # CUDA that onnxruntime was built for but cannot load here; the record shows which providers compared.
            continue
        for batch in (1, inputs.shape[0]):
            outputs = run_onnx(opened, inputs[:batch])
            found.append(Comparison(provider, batch, largest_difference(outputs, expected[:batch])))
    return tuple(found)


def largest_difference(outputs: Tensor, expected: Tensor) -> float:
    """Return the largest absolute difference, computed in float64; NaN if any value is not finite, or shapes differ."""
    if outputs.shape != expected.shape or not (outputs.isfinite().all() and expected.isfinite().all()):
        return float("nan")
    return float((outputs.double().cpu() - expected.double().cpu()).abs().max())


def require_parity(comparisons: Sequence[Comparison], tolerance: float) -> None:
    """Pass only what stays within the tolerance everywhere.

    Raises:
        ParityError: a difference is above the tolerance, or is not a number, or nothing was compared.
    """
    if not comparisons:
        raise ParityError("parity: expected onnxruntime to run the exported network, but no provider did")
    for comparison in comparisons:
        if not comparison.largest_difference <= tolerance:
            raise ParityError(
                f"parity: expected PyTorch and onnxruntime ({comparison.provider}, batch {comparison.batch}) to agree "
                f"within {tolerance:g}, got a largest difference of {comparison.largest_difference:.3g}; no file was "
                "written: raise the tolerance if that is harmless, or export with another opset"
            )
