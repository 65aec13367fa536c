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
_COUNTERS = ("n_averaged",)
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
    fitting = [candidate for candidate in candidates if expected <= set(candidate.tensors)]
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
    """Drop prefixes that all names carry, unless the architecture's own names begin so."""
    tensors, notes = dict(weights.tensors), list(weights.notes)
    for counter in _COUNTERS:
        if counter in tensors and counter not in expected:
            del tensors[counter]
            notes.append(f"left out {counter!r}, a counter of the averaging")
    while True:
        prefix = next((item for item in _PREFIXES if tensors and all(name.startswith(item) for name in tensors)), None)
        if prefix is None or any(name in expected for name in tensors):
            return weights._replace(tensors=tensors, notes=tuple(notes))
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
        notes.append(f"removed the prefix {prefix!r} from every name")
