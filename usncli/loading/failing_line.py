"""Where in the user's own code a network failed: the layer and the line."""

from __future__ import annotations

import linecache
import traceback
from pathlib import Path

from torch import nn

_MOST_CHARACTERS = 80


def failing_line(error: BaseException, module: nn.Module) -> str:
    """Return the innermost layer of a network that an error came out of, and its line; empty where there is none.

    Args:
        error: caught while the network ran.
        module: the network. A layer counts if its class is not one of torch's own.

    Returns:
        Such as ``" in layer encoder.gate, model.py:42: if x.sum() > 0"``.
    """
    names = {id(part): name for name, part in module.named_modules()}
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        layer = frame.f_locals.get("self")
        own = isinstance(layer, nn.Module) and not type(layer).__module__.startswith("torch.")
        if own and id(layer) in names:
            path = frame.f_code.co_filename
            where = f"layer {names[id(layer)]}" if names[id(layer)] else "the outermost forward"
            text = linecache.getline(path, line).strip()[:_MOST_CHARACTERS]
            return f" in {where}, {Path(path).name}:{line}: {text}".rstrip(": ")
    return ""
