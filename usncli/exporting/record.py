"""What an export leaves behind for tables, pages and run folders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from usncli.exporting.latency import LatencyRecord
from usncli.exporting.parity import Comparison
from usncli.exporting.vnnlib import QueriesRecord

SCHEMA_VERSION = 1
"""Version of `ExportRecord.to_record`; it grows when a field changes its meaning or goes."""


@dataclass(frozen=True)
class ExportRecord:
    """An ONNX file that was written, and the evidence that it computes what PyTorch computes.

    Attributes:
        path: the file.
        sha256: of the file.
        file_bytes: size of the file.
        parameters: number of weights in the graph.
        opset: version of ONNX's operator set.
        preprocessing_included: whether normalisation and output units are inside the graph.
        input_shape: ``(channels, height, width)`` of one image.
        output_name: name of the graph's output.
        output_shape: shape of the output for one image.
        comparisons: PyTorch against onnxruntime, one entry a provider and batch size.
        tolerance: the largest absolute difference that was allowed.
        metadata: what the file says about itself, without the prefix of its keys.
        seconds: time the export took, checks included.
        float16_change: by how much rounding weights to float16 moves an output at most, on the images of the
            comparisons, which were made before; None where they are not rounded.
        vnnlib: the queries that were written beside it.
        latency: how fast it runs, against the network before pruning.
    """

    path: str
    sha256: str
    file_bytes: int
    parameters: int
    opset: int
    preprocessing_included: bool
    input_shape: tuple[int, ...]
    output_name: str
    output_shape: tuple[int, ...]
    comparisons: tuple[Comparison, ...]
    tolerance: float
    metadata: Mapping[str, str]
    seconds: float
    float16_change: float | None = None
    vnnlib: QueriesRecord | None = None
    latency: LatencyRecord | None = None

    @property
    def largest_difference(self) -> float:
        """Largest absolute difference over all comparisons, in units of the output."""
        return max(comparison.largest_difference for comparison in self.comparisons)

    def to_record(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return {
            "schema_version": SCHEMA_VERSION,
            "path": self.path,
            "sha256": self.sha256,
            "file_bytes": self.file_bytes,
            "parameters": self.parameters,
            "opset": self.opset,
            "preprocessing_included": self.preprocessing_included,
            "input_shape": list(self.input_shape),
            "output_name": self.output_name,
            "output_shape": list(self.output_shape),
            "comparisons": [comparison.to_record() for comparison in self.comparisons],
            "largest_difference": self.largest_difference,
            "tolerance": self.tolerance,
            "metadata": dict(self.metadata),
            "seconds": self.seconds,
            "float16_change": self.float16_change,
            "vnnlib": None if self.vnnlib is None else self.vnnlib.to_record(),
            "latency": None if self.latency is None else self.latency.to_record(),
        }
