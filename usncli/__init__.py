"""Certified semantic robustness as a release gate.

The public names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from usncli.api import certify, check, export, finetune_prune, score
    from usncli.certificates.check import CheckOptions
    from usncli.certifying.options import CertifyOptions
    from usncli.errors import UsnError
    from usncli.exporting.graph import ExportOptions
    from usncli.loading.data import open_data
    from usncli.loading.network_file import load_network, save_network
    from usncli.loading.pipeline import Pipeline
    from usncli.loading.preprocessing import Preprocessing
    from usncli.perturbing.ranges import PerturbationRange, parse_range
    from usncli.pruning.options import FinetuneOptions
    from usncli.scoring.options import ScoreOptions
    from usncli.types import Task

__all__ = [
    "CertifyOptions",
    "CheckOptions",
    "ExportOptions",
    "FinetuneOptions",
    "PerturbationRange",
    "Pipeline",
    "Preprocessing",
    "ScoreOptions",
    "Task",
    "UsnError",
    "certify",
    "check",
    "export",
    "finetune_prune",
    "load_network",
    "open_data",
    "parse_range",
    "save_network",
    "score",
]

_HOMES = {
    "CertifyOptions": "usncli.certifying.options",
    "CheckOptions": "usncli.certificates.check",
    "ExportOptions": "usncli.exporting.graph",
    "FinetuneOptions": "usncli.pruning.options",
    "PerturbationRange": "usncli.perturbing.ranges",
    "Pipeline": "usncli.loading.pipeline",
    "Preprocessing": "usncli.loading.preprocessing",
    "ScoreOptions": "usncli.scoring.options",
    "Task": "usncli.types",
    "UsnError": "usncli.errors",
    "certify": "usncli.api",
    "check": "usncli.api",
    "export": "usncli.api",
    "finetune_prune": "usncli.api",
    "load_network": "usncli.loading.network_file",
    "open_data": "usncli.loading.data",
    "parse_range": "usncli.perturbing.ranges",
    "save_network": "usncli.loading.network_file",
    "score": "usncli.api",
}


def __getattr__(name: str) -> Any:
    """Load a public name from where it is defined."""
    if name not in _HOMES:
        raise AttributeError(f"module 'usncli' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
