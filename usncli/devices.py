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
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigurationError(f"device: expected auto, cpu or a GPU of this machine, got {name!r}") from error
    return device
