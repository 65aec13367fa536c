import os
import signal
import time

import pytest

from usncli.pruning.interrupts import DeferredInterrupt


def test_an_interruption_waits_and_a_second_one_does_not():
    with DeferredInterrupt() as interrupt:
        interrupt.raise_if_requested()
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.requested
        with pytest.raises(KeyboardInterrupt):
            interrupt.raise_if_requested()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_one_that_comes_at_once_is_the_launchers_own():
    with DeferredInterrupt(patience=60.0) as interrupt:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert interrupt.requested
    with DeferredInterrupt(patience=0.01) as interrupt:
        signal.raise_signal(signal.SIGINT)
        time.sleep(0.02)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
