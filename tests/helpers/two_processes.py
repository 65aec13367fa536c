"""Runs a function in two processes that find each other as a launcher would have them."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable
from typing import Any

LOADED_ONCE = ["accelerate", "usncli.cli.main", "usncli.pruning.finetune"]
"""What takes seconds to import, before the two are forked."""


def run_two(work: Callable[..., None], *arguments: Any) -> None:
    """Call ``work(*arguments)`` in both, on one thread each; what either raises fails the test.

    They form one group in their lives, as a launcher's processes do: a second one would find the first one's addresses
    at the port where they meet, for as long as the first process keeps it open, and could wait there for ever.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED_ONCE)
    started = [context.Process(target=_run, args=(work, arguments, rank, port)) for rank in (0, 1)]
    for process in started:
        process.start()
    for process in started:
        process.join(timeout=240)
        process.kill()
    assert [process.exitcode for process in started] == [0, 0]


def _run(work: Callable[..., None], arguments: tuple[Any, ...], rank: int, port: str) -> None:
    import torch

    torch.set_num_threads(1)
    stated = {"WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "RANK": rank, "LOCAL_RANK": rank, "OMP_NUM_THREADS": 1}
    os.environ.update({name: str(value) for name, value in stated.items()})
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    work(*arguments)
