"""Training progress on disk: everything that a run needs to go on as if it had never stopped."""

from __future__ import annotations

import pickle
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from usncli.errors import ConfigurationError, InputError
from usncli.files import write_atomically

VERSION = 3
"""Of the file's layout; another one is refused."""


@dataclass
class TrainingState:
    """Where a run stands, between two steps.

    Attributes:
        step: steps finished.
        network: weights and running statistics, by name.
        optimiser: the optimiser's own state.
        scaler: state of the gradient scaler, empty where there is none.
        plan: what the plan keeps between steps, such as masks: plain values and tensors.
        history: one mapping of figures a logged step.
        seconds: time spent so far.
    """

    step: int = 0
    network: dict[str, Tensor] = field(default_factory=dict)
    optimiser: dict[str, Any] = field(default_factory=dict)
    scaler: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0


def save_state(path: Path, state: TrainingState, fingerprint: str) -> None:
    """Write the state, atomically; the file before it stays until the new one is whole.

    Args:
        path: the file.
        state: what is written; only tensors, numbers, strings, lists and dicts.
        fingerprint: of the run that the state belongs to.
    """
    content = {"version": VERSION, "fingerprint": fingerprint} | {
        name: getattr(state, name) for name in TrainingState.__dataclass_fields__
    }
    write_atomically(path, lambda temporary: torch.save(content, temporary))


def load_state(path: Path, fingerprint: str) -> TrainingState:
    """Read the state back; no code in the file is run.

    Args:
        path: the file.
        fingerprint: of the run that asks.

    Raises:
        InputError: the file is damaged, or is no training state.
        ConfigurationError: it belongs to a run with other settings, weights or data.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, zipfile.BadZipFile, ValueError) as error:
        raise InputError(f"{path}: expected training progress, got a damaged file; delete it to start again") from error
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise InputError(f"{path}: expected training progress of version {VERSION}; delete it to start again")
    if content["fingerprint"] != fingerprint:
        raise ConfigurationError(other_run_message(path.parent))
    return TrainingState(**{name: content[name] for name in TrainingState.__dataclass_fields__})


def other_run_message(folder: Path) -> str:
    """Say that a folder belongs to a run with other settings."""
    return (
        f"{folder}: expected a new folder or one of the same run, got a run with other settings, weights or data; "
        "choose another folder, or delete this one to start again"
    )
