"""Interruptions that wait for the end of a step, so that what is saved is never half a step."""

from __future__ import annotations

import math
import signal
import threading
import time
from types import FrameType, TracebackType


class DeferredInterrupt:
    """Within this context Ctrl-C is noted, not raised; a second one is raised at once.

    Args:
        patience: seconds in which a second one is the first again: a launcher passes on what its processes have already
            got from the terminal.

    The handler before is put back at the end. Away from the main thread, where Python delivers no signal, it does
    nothing.

    Attributes:
        requested: whether an interruption has come.
    """

    def __init__(self, patience: float = 0.0) -> None:
        self.requested, self.patience = False, patience
        self._noted = -math.inf

    def __enter__(self) -> DeferredInterrupt:
        """Take over Ctrl-C."""
        self._installed = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if self._installed:
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give Ctrl-C back."""
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def raise_if_requested(self) -> None:
        """Raise the interruption that has been noted.

        Raises:
            KeyboardInterrupt: one has come.
        """
        if self.requested:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested and time.monotonic() - self._noted >= self.patience:
            raise KeyboardInterrupt
        self.requested, self._noted = True, time.monotonic()
