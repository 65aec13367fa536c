"""Progress for people and for logs; SIGTERM as Ctrl-C."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import threading

import pytest
from rich.console import Console

from usncli.cli.console import Consoles
from usncli.cli.progress_bars import LogLines, duration_text, progress_bars
from usncli.cli.signals import HEARD, interruptible
from usncli.progress import ProgressUpdate


def shown(terminal: bool, quiet: bool = False) -> str:
    written = io.StringIO()
    consoles = Consoles(err=Console(file=written, force_terminal=terminal, width=100), quiet=quiet)
    with progress_bars(consoles) as progress:
        for step in range(4):
            progress(ProgressUpdate("train", step, 3, {"loss": 0.5, "error": 1.25, "rho": 0.2}))
        progress(ProgressUpdate("certify", 0, 2))
    return written.getvalue()


def test_a_log_gets_two_lines_a_stage() -> None:
    expected = ["train: 3 steps", "train: done loss 0.5 error 1.25 rho 0.2", "certify: 2 steps"]
    assert shown(terminal=False).splitlines() == expected


def test_a_long_stage_tells_now_and_then_how_long_it_takes() -> None:
    written = io.StringIO()
    times = iter([0.0, 10.0, 20.0, 40.0, 50.0, 60.0])
    lines = LogLines(Consoles(err=Console(file=written)), seconds=15, clock=lambda: next(times))
    for step in range(6):
        lines(ProgressUpdate("train", step, 100, {"loss": 1.0}))
    assert written.getvalue().splitlines() == [
        "train: 100 steps",
        "train: 2 of 100, about 16 min left loss 1",
        "train: 3 of 100, about 22 min left loss 1",
        "train: 5 of 100, about 19 min left loss 1",
    ]


@pytest.mark.parametrize(("seconds", "text"), [(3, "3 s"), (89.6, "90 s"), (600, "10 min"), (5400, "1.5 h")])
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_a_terminal_gets_bars_with_figures_and_times() -> None:
    text = shown(terminal=True)
    for word in ("train", "certify", "3/3", "loss 0.5 error 1.25 rho 0.2", "0:00:0", "━"):
        assert word in text


def test_quiet_is_quiet() -> None:
    assert shown(terminal=True, quiet=True) == shown(terminal=False, quiet=True) == ""


def test_messages_are_never_wrapped_or_read_as_markup() -> None:
    written = io.StringIO()
    consoles = Consoles(err=Console(file=written, width=40))
    message = "[red]path[/red] " + "/a/long/path" * 10
    consoles.error(message + "\nsecond line")
    assert written.getvalue() == f"error: {message} second line\n"


def test_sigterm_is_taken_as_ctrl_c_and_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_reaches_whoever_defers_ctrl_c() -> None:
    from usncli.pruning.interrupts import DeferredInterrupt

    with interruptible(), DeferredInterrupt() as interrupt:
        signal.raise_signal(signal.SIGTERM)
        assert interrupt.requested


BUSY = """
import hashlib, os, signal, sys, threading
from usncli.cli.signals import interruptible
threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    with interruptible():
        hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 4_000_000)  # seconds in which Python takes no step
except KeyboardInterrupt:
    sys.stderr.write("raised\\n")
"""


def test_an_interrupt_in_compiled_code_is_answered_before_it_can_be_raised() -> None:
    done = subprocess.run([sys.executable, "-c", BUSY], capture_output=True, text=True)
    assert done.stderr.splitlines() == [HEARD.decode().strip(), "raised"]


def test_an_interrupt_that_is_raised_at_once_has_no_other_answer(capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(signal.SIGINT)
    assert capfd.readouterr().err == ""
    assert signal.set_wakeup_fd(before) == before


def test_away_from_the_main_thread_nothing_is_installed() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work() -> None:
        with interruptible():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
