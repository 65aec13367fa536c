from __future__ import annotations

from collections.abc import Callable

import loading_networks
import pytest
import torch
from torch import Tensor, fx, nn

from usncli.loading.capture import capture


@pytest.fixture(scope="session")
def images() -> Tensor:
    size = loading_networks.SIZE
    return torch.rand((3, 3, size, size), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="session")
def originals() -> dict[str, nn.Module]:
    """Read only: the user's networks, left in training mode but for one layer."""
    networks = {name: getattr(loading_networks, name)() for name in ("small", "residual", "mobile", "unet")}
    for network in networks.values():
        network.train()
        next(network.children()).eval()
    return networks


@pytest.fixture(scope="session")
def captured(originals: dict[str, nn.Module], images: Tensor) -> Callable[[str], fx.GraphModule]:
    """Capture each network once a session; what is returned is read only."""
    networks: dict[str, fx.GraphModule] = {}

    def find(name: str) -> fx.GraphModule:
        if name not in networks:
            networks[name] = capture(originals[name], images[:1])
        return networks[name]

    return find
