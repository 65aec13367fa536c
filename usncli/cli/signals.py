"""What Ctrl-C and SIGTERM do: end a command that has nothing to save at once, interrupt one that has."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from usncli.cli.exit_codes import ExitCode

Handler = Callable[[int, FrameType | None], None]

INTERRUPTED = b"error: interrupted; the same command goes on from what is saved\n"


@contextmanager
def ended_at_once() -> Iterator[None]:
    """Within this context Ctrl-C and SIGTERM end the process, with one line and exit code 130.

    For the time before there is anything to save: an exception in the middle of an import of compiled code may be
    swallowed, or abort the process.
    """
    with _handlers(_end, _end):
        yield


@contextmanager
def interruptible() -> Iterator[None]:
    """Within this context Ctrl-C raises `KeyboardInterrupt`, and SIGTERM does what Ctrl-C does at that moment."""
    with _handlers(signal.default_int_handler, _as_interrupt):
        yield


@contextmanager
def _handlers(on_interrupt: Handler, on_terminate: Handler) -> Iterator[None]:
    """Answer the two signals so, and put back what was there; a Ctrl-C that is ignored stays so.

    It is ignored in a shell's background job. Away from the main thread nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT), signal.signal(signal.SIGTERM, on_terminate)
    if callable(before[0]):
        signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])


def _end(number: int, frame: FrameType | None) -> None:
    os.write(2, INTERRUPTED)
    os._exit(ExitCode.INTERRUPTED)


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):  # Ctrl-C is ignored, but SIGTERM is not
        raise KeyboardInterrupt
    handler(signal.SIGINT, frame)
