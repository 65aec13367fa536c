"""ONNX that computes what PyTorch computes, checked before it is written."""

from usncli.exporting.export import export
from usncli.exporting.graph import ExportOptions
from usncli.exporting.metadata import read_metadata
from usncli.exporting.parity import Comparison
from usncli.exporting.record import ExportRecord
from usncli.exporting.runtime import Provider, run_onnx, session, usable_providers

__all__ = [
    "Comparison",
    "ExportOptions",
    "ExportRecord",
    "Provider",
    "export",
    "read_metadata",
    "run_onnx",
    "session",
    "usable_providers",
]
