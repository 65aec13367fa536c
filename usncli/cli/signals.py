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
HEARD = b"interrupted: stopping as soon as the computation at hand returns\n"
PATIENCE = 0.4
"""Seconds after which an interruption that has not ended the work is answered nevertheless."""


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
    """Within this context Ctrl-C raises `KeyboardInterrupt`, and SIGTERM does what Ctrl-C does at that moment.

    Python raises it between two of its own steps. Where one of them, a large product of matrices, takes longer, a line
    says meanwhile that the signal was heard.
    """
    with _handlers(signal.default_int_handler, _as_interrupt), _heard():
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


@contextmanager
def _heard() -> Iterator[None]:
    """Answer signals from a thread, which sees them while the main thread is busy in compiled code.

    Not where pipes cannot be made to give way, as on Windows before Python 3.12.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(os, "set_blocking"):
        yield
        return
    inlet, outlet = os.pipe()
    os.set_blocking(outlet, False)
    before, over = signal.set_wakeup_fd(outlet, warn_on_full_buffer=False), threading.Event()

    def answer() -> None:
        while number := os.read(inlet, 1):
            if number[0] in (signal.SIGINT, signal.SIGTERM) and not over.wait(PATIENCE):
                os.write(2, HEARD)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        over.set()
        os.close(outlet)
        thread.join()
        os.close(inlet)


def _end(number: int, frame: FrameType | None) -> None:
    os.write(2, INTERRUPTED)
    os._exit(ExitCode.INTERRUPTED)


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):  # Ctrl-C is ignored, but SIGTERM is not
        raise KeyboardInterrupt
    handler(signal.SIGINT, frame)
