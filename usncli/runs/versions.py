"""Versions of what a result may depend on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "usncli",
    "torch",
    "torch-pruning",
    "auto_LiRPA",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "onnxruntime-gpu",
    "safetensors",
    "numpy",
    "pillow",
)
"""Distributions whose versions a manifest holds."""


def package_version(name: str) -> str | None:
    """Return the installed version of a distribution, None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def package_versions() -> dict[str, str]:
    """Return the version of Python and of each of `PACKAGES` that is installed, without importing any."""
    found = {name: package_version(name) for name in PACKAGES}
    return {"python": platform.python_version()} | {name: text for name, text in found.items() if text is not None}
