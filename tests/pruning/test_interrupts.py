import os
import signal

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
