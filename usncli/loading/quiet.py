"""Keep a chatty library's prints, warnings and log lines from the user while one block runs, and nothing after it."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quietly(logger_name: str) -> Iterator[io.StringIO]:
    """Collect what the block writes to stdout and stderr, drop its warnings and what ``logger_name`` logs.

    Everything is as before when the block ends, also by an exception; no filter of the user's is touched. What a C
    library writes straight to the process's file descriptors is not caught.

    Args:
        logger_name: the logger whose own handlers, and its children's messages through them, are muted.

    Yields:
        The text that the block printed so far.
    """
    printed = io.StringIO()
    handlers = list(logging.getLogger(logger_name).handlers)
    for handler in handlers:
        handler.addFilter(_nothing)
    try:
        with (
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
            warnings.catch_warnings(record=True),
        ):
            yield printed
    finally:
        for handler in handlers:
            handler.removeFilter(_nothing)


def _nothing(record: logging.LogRecord) -> bool:
    return False
