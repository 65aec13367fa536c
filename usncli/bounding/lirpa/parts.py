"""The parts of auto_LiRPA that are used, by name; importing this module imports auto_LiRPA (see `patching`)."""

from __future__ import annotations

import importlib
from typing import Any

import torch

from usncli.bounding.lirpa.patching import import_auto_lirpa

_package = import_auto_lirpa()


def _part(name: str) -> Any:
    return importlib.import_module(f"auto_LiRPA.{name}")


operators = _part("bound_ops")
perturbations = _part("perturbations")
patches = _part("patches")
utils = _part("utils")
LinearBound: Any = _part("linear_bound").LinearBound
BoundedModule: Any = _package.BoundedModule


def unoptimised() -> Any:
    """Return a context in which TorchScript runs auto_LiRPA's scripted functions as written, without recompiling."""
    return torch.jit.optimized_execution(False)  # type: ignore[attr-defined]
