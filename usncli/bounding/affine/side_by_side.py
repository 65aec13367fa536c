"""Parts of a batch bounded side by side, each by a thread of its own.

Layers of one piece are small: all cores at one layer wait for each other more than they work, while pieces have nothing
to do with each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")


def side_by_side(function: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
    """Return a function's value of every part, in their order.

    Torch's cores (`torch.get_num_threads`) are shared out among as many threads as there are parts, at most. The caller
    cuts the parts without asking how many that are, so that no more than the order of sums depends on the machine.

    Args:
        function: of one part; it sets what torch keeps thread by thread, such as whether gradients are wanted, itself.
        parts: on the CPU, where torch's work releases the interpreter.
    """
    cores = torch.get_num_threads()
    threads = min(cores, len(parts))
    if threads < 2:
        return [function(part) for part in parts]
    try:
        with ThreadPoolExecutor(threads, "usn-bound", torch.set_num_threads, (cores // threads,)) as pool:
            return list(pool.map(function, parts))
    finally:
        # What a thread sets also holds for threads that begin later.
        torch.set_num_threads(cores)
