"""Networks and data that come with the package: for the demo, the examples and tests.

Importing this is cheap: torch is imported when a name is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from usncli.zoo.aircraft_data import aircraft
    from usncli.zoo.coco_writer import write_coco
    from usncli.zoo.networks import classifier, cnn7, heatmap_network, resnet18

__all__ = ["aircraft", "classifier", "cnn7", "heatmap_network", "resnet18", "write_coco"]

_HOMES = {
    "aircraft": "usncli.zoo.aircraft_data",
    "classifier": "usncli.zoo.networks",
    "cnn7": "usncli.zoo.networks",
    "heatmap_network": "usncli.zoo.networks",
    "resnet18": "usncli.zoo.networks",
    "write_coco": "usncli.zoo.coco_writer",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
