"""Weights into the architecture they belong to, with every mismatch told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from usncli.errors import ConfigurationError, InputError
from usncli.loading.checkpoints.unwrap import COUNTER, Weights, find_weights

_SHOWN = 4


def require_architecture(path: Path, arch: str | None) -> str:
    """Return ``arch``.

    Raises:
        ConfigurationError: there is none, but the file holds weights alone.
    """
    if arch is None:
        raise ConfigurationError(
            f"{path}: holds weights alone, so the network must be named: "
            "--arch package.module:factory, for example --arch torchvision.models:resnet18 --arch-arg num_classes=10"
        )
    return arch


def load_weights(path: Path, content: Any, module: nn.Module, *, strict: bool) -> tuple[str, ...]:
    """Put the weights of a checkpoint into a module, in place.

    Args:
        path: the file, for messages.
        content: what the file holds: tensors by name, possibly wrapped.
        module: the architecture; its values are replaced.
        strict: whether missing and unexpected names are errors; otherwise they are noted.

    Returns:
        What was unwrapped, converted or left out, one line each.

    Raises:
        InputError: no weights, names or shapes that do not fit, or a value that is no finite number.
    """
    state = module.state_dict()
    found = find_weights(content, frozenset(state)) if isinstance(content, Mapping) else None
    if found is None:
        raise InputError(f"{path}: expected tensors by name, got {_describe(content)}")
    notes = [*found.notes, *_check_names(path, found, state, strict=strict)]
    fitting = {name: tensor for name, tensor in found.tensors.items() if name in state}
    _check_dense(path, fitting)
    _check_shapes(path, fitting, state)
    check_finite(path, fitting)
    notes.extend(_conversions(fitting, state))
    module.load_state_dict(fitting, strict=False)
    return tuple(notes)


def check_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Refuse weights that are no numbers.

    Raises:
        InputError: a tensor holds NaN or infinity; names it.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            count = int((~torch.isfinite(tensor)).sum())
            raise InputError(
                f"{path}: {name} holds {count} of {tensor.numel()} values that are NaN or infinite; "
                "training diverged: give an earlier checkpoint"
            )


def list_first(names: Sequence[str]) -> str:
    """Return the first few of many names and how many there are."""
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def _check_names(path: Path, found: Weights, state: Mapping[str, Tensor], *, strict: bool) -> list[str]:
    missing = [name for name in state if name not in found.tensors and not name.endswith(COUNTER)]
    unexpected = [name for name in (*found.tensors, *found.others) if name not in state]
    problems = []
    if missing:
        problems.append(f"{len(missing)} missing ({list_first(missing)})")
    if unexpected:
        problems.append(f"{len(unexpected)} unexpected ({list_first(unexpected)})")
    if not problems:
        return []
    if strict or not any(name in state for name in found.tensors):
        raise InputError(
            f"{path}: its names do not fit the architecture's {len(state)}: {', '.join(problems)}; "
            "check --arch and --arch-arg, or load what fits with --no-strict"
        )
    return [f"names that do not fit were passed over: {', '.join(problems)}"]


def _check_dense(path: Path, tensors: Mapping[str, Tensor]) -> None:
    odd = [name for name, tensor in tensors.items() if tensor.layout != torch.strided or tensor.is_quantized]
    if odd:
        raise InputError(f"{path}: sparse or quantised tensors ({list_first(odd)}); save dense floating-point weights")


def _check_shapes(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    wrong = [
        f"{name} is {_size(tensor)}, the architecture's {_size(state[name])}"
        for name, tensor in tensors.items()
        if tensor.shape != state[name].shape
    ]
    if wrong:
        raise InputError(f"{path}: shapes differ: {list_first(wrong)}; check --arch and --arch-arg")


def _conversions(tensors: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[str]:
    kinds = {
        f"{tensor.dtype} to {state[name].dtype}".replace("torch.", "")
        for name, tensor in tensors.items()
        if tensor.dtype != state[name].dtype
    }
    return [f"converted weights from {kind}" for kind in sorted(kinds)]


def _size(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a single number"


def _describe(content: Any) -> str:
    if isinstance(content, Mapping):
        return f"a table without tensors ({list_first([str(key) for key in content])})"
    return f"a {type(content).__name__}"
