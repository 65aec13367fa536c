"""A command that several processes work on: the first keeps the run folder and prints, the others only compute."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usncli.cli.console import Consoles
from usncli.cli.invocation import Invocation
from usncli.cli.running import Result, Workspace, finished_folder
from usncli.progress import silent

if TYPE_CHECKING:
    from usncli.pruning.processes import Processes

Compute = Callable[[Invocation[Any], Workspace, "Processes | None"], Result]
"""Does a command's work, alone or with other processes."""


def finished_together(invocation: Invocation[Any], compute: Compute) -> Path | None:
    """Return the folder of the finished run, see `finished_folder`; None in all processes but the first.

    Args:
        invocation: of a command whose settings are `RunSettings`.
        compute: does the work, in every process that a launcher has started.

    Raises:
        ConfigurationError: the processes cannot work together, see `joined_processes`.
    """
    if invocation.shell.environment.get("WORLD_SIZE", "1") == "1":  # nothing heavy is loaded to find that out
        return finished_folder(invocation, lambda workspace: compute(invocation, workspace, None))
    from usncli.pruning.launching import joined_processes

    with joined_processes(invocation.settings.device, invocation.shell.environment) as processes:
        if processes.first:
            return _lead(invocation, compute, processes)
        _follow(invocation, compute, processes)
        return None


def _lead(invocation: Invocation[Any], compute: Compute, processes: Processes) -> Path:
    """Do the work with the others, and let them go if there is none."""
    called = False

    def compute_together(workspace: Workspace) -> Result:
        nonlocal called
        called = True
        processes.from_first(lambda: workspace.folder)
        return compute(invocation, workspace._replace(device=str(processes.device)), processes)

    try:
        return finished_folder(invocation, compute_together)
    finally:
        if not called:
            processes.from_first(lambda: None)


def _follow(invocation: Invocation[Any], compute: Compute, processes: Processes) -> None:
    """Wait for the first process's folder, and compute where there is one."""
    folder: Path | None = processes.from_first(lambda: None)
    if folder is not None:
        quiet = dataclasses.replace(invocation, consoles=Consoles(quiet=True))
        compute(quiet, Workspace(folder, str(processes.device), silent), processes)
