"""Which device the work runs on."""

from __future__ import annotations

import torch

from usncli.errors import ConfigurationError


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of that name; ``auto`` is the first GPU where there is one, else the CPU.

    Raises:
        ConfigurationError: no such device on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    message = f"device: expected auto, cpu or a GPU of this machine, got {name!r}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, ImportError) as error:
        raise ConfigurationError(message) from error
    if device.type == "meta":
        raise ConfigurationError(f"{message}, which holds no numbers")
    return device
