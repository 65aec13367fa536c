"""From a launcher's environment to the processes that train together: Hugging Face accelerate sets up their group."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from usncli.devices import choose_device
from usncli.errors import ConfigurationError
from usncli.pruning.processes import GroupProcesses, Processes


def process_count(environment: Mapping[str, str]) -> int:
    """Return how many processes torchrun, ``accelerate launch`` or their like have started, from what they set."""
    count = environment.get("WORLD_SIZE", "")
    return int(count) if count.isdecimal() and "LOCAL_RANK" in environment else 1


@contextmanager
def joined_processes(device: str = "auto", environment: Mapping[str, str] = os.environ) -> Iterator[Processes]:
    """Within this context the processes that a launcher has started are one group; without a launcher, this one alone.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``, a GPU for each process; of one process, any.
        environment: where launchers say what they started.

    Raises:
        ConfigurationError: a device that cannot be shared out, more processes than GPUs, or accelerate is missing.
    """
    count = process_count(environment)
    if count == 1:
        yield Processes(choose_device(device))
        return
    on_cpu = _require_devices(device, count, int(environment.get("LOCAL_WORLD_SIZE", count)))
    try:
        from accelerate import PartialState
    except ImportError as error:
        raise ConfigurationError(
            f"training on {count} processes: expected the package accelerate, found none; "
            "run: pip install 'usncli[distributed]'"
        ) from error
    state = PartialState(cpu=on_cpu)
    try:
        yield GroupProcesses("cpu" if on_cpu else state.device)
    finally:
        state.destroy_process_group()
        PartialState._reset_state()


def _require_devices(device: str, count: int, on_this_machine: int) -> bool:
    """Check that every process of this machine gets a device; return whether it is the CPU."""
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigurationError(
            f"device: expected auto, cpu or cuda for {count} processes, each of which takes a GPU of its own, "
            f"got {device!r}; choose GPUs by CUDA_VISIBLE_DEVICES"
        )
    if choose_device(device).type == "cpu":
        return True
    if on_this_machine > torch.cuda.device_count():
        raise ConfigurationError(
            f"device: expected at most {torch.cuda.device_count()} processes on this machine, one a GPU, "
            f"got {on_this_machine}; start fewer, or give --device cpu"
        )
    return False
