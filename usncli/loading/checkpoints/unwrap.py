"""The network's own weights inside what training code saved around them.

Checkpoints wrap weights under keys such as ``state_dict``, keep a running average (EMA) beside them, and prefix every
name with that of a wrapper. Of several candidates the first whose names fit the architecture is taken; the running
average comes first, because it is what is evaluated and shipped. What was done is noted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from torch import Tensor

_AVERAGES = (
    *("state_dict_ema", "ema_state_dict", "model_ema", "ema_model", "ema", "params_ema"),
    *("averaged_model", "swa_state_dict", "shadow", "shadow_params"),
)
_WEIGHTS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params", "module")
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "ema_model.")
_AVERAGING_COUNTER = "n_averaged"
COUNTER = ".num_batches_tracked"
"""Ending of the names of batch norm's counters, which old checkpoints lack and inference does not use."""
_DEPTH = 3


class Weights(NamedTuple):
    """Weights found in a checkpoint.

    Attributes:
        tensors: by the names that remain after unwrapping.
        notes: what was unwrapped, one line each.
        others: names in the same table that are no tensors.
    """

    tensors: dict[str, Tensor]
    notes: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def find_weights(content: Mapping[str, Any], expected: frozenset[str]) -> Weights | None:
    """Return the weights of a checkpoint that fit an architecture best, or None if there are none.

    Args:
        content: what the file holds.
        expected: names of the architecture's parameters and buffers.
    """
    candidates = [_without_prefixes(candidate, expected) for candidate in _candidates(content, "", _DEPTH)]
    if not candidates:
        return None
    needed = {name for name in expected if not name.endswith(COUNTER)}
    fitting = [candidate for candidate in candidates if needed <= set(candidate.tensors)]
    if fitting:
        return fitting[0]
    return max(candidates, key=lambda candidate: len(expected & set(candidate.tensors)))


def _candidates(content: Mapping[str, Any], path: str, depth: int) -> Iterator[Weights]:
    """Yield every table of tensors: running averages first, then weights, then the table itself."""
    for key in (*_AVERAGES, *_WEIGHTS):
        inner = content.get(key)
        if isinstance(inner, Mapping) and depth > 0:
            yield from _candidates(inner, f"{path}.{key}" if path else key, depth - 1)
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if tensors:
        average = any(part in _AVERAGES for part in path.split("."))
        what = "the running average (EMA) of the weights" if average else "the weights"
        others = tuple(str(name) for name, value in content.items() if not isinstance(value, Tensor))
        yield Weights(tensors, (f"took {what} under {path!r}",) if path else (), others)


def _without_prefixes(weights: Weights, expected: frozenset[str]) -> Weights:
    """Drop the prefixes of wrappers, unless the architecture's own names begin so."""
    tensors, notes = dict(weights.tensors), list(weights.notes)
    if _AVERAGING_COUNTER in tensors and _AVERAGING_COUNTER not in expected:
        del tensors[_AVERAGING_COUNTER]
        notes.append(f"left out {_AVERAGING_COUNTER!r}, a counter of the averaging")
    while not expected & tensors.keys():
        prefix = next((item for item in _PREFIXES if _is_wrapper(item, tensors, expected)), None)
        if prefix is None:
            break
        carrying = sum(name.startswith(prefix) for name in tensors)
        share = "every name" if carrying == len(tensors) else f"{carrying} of {len(tensors)} names"
        notes.append(f"removed the prefix {prefix!r} from {share}")
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return weights._replace(tensors=tensors, notes=tuple(notes))


def _is_wrapper(prefix: str, tensors: Mapping[str, Tensor], expected: frozenset[str]) -> bool:
    """Say whether a prefix is a wrapper's: all names carry it, or the architecture's own are found behind it."""
    return all(name.startswith(prefix) for name in tensors) or any(f"{prefix}{name}" in tensors for name in expected)
