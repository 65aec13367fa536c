"""ONNX that computes what PyTorch computes, checked before it is written."""

from usncli.exporting.export import export
from usncli.exporting.graph import ExportOptions
from usncli.exporting.latency import DenseNetwork, Latency, LatencyRecord, measure_latency
from usncli.exporting.metadata import read_metadata
from usncli.exporting.parity import Comparison
from usncli.exporting.record import ExportRecord
from usncli.exporting.runtime import Provider, run_onnx, session, usable_providers
from usncli.exporting.vnnlib import QueriesRecord, QueryOptions, VnnlibVersion, export_queries

__all__ = [
    "Comparison",
    "DenseNetwork",
    "ExportOptions",
    "ExportRecord",
    "Latency",
    "LatencyRecord",
    "Provider",
    "QueriesRecord",
    "QueryOptions",
    "VnnlibVersion",
    "export",
    "export_queries",
    "measure_latency",
    "read_metadata",
    "run_onnx",
    "session",
    "usable_providers",
]
