"""An ONNX file as a captured network."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, fx

from usncli.errors import UnsupportedOperationError


def load_onnx(path: Path, example: Tensor) -> tuple[fx.GraphModule, tuple[str, ...]]:
    """Refuse for now."""
    raise UnsupportedOperationError(f"{path}: ONNX cannot be read yet")
