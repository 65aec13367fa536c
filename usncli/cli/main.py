"""The entry point of ``usn``: everything else is loaded within it, so that Ctrl-C is answered from the first moment."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from usncli.cli.signals import ended_at_once

UNREAD = 120
"""What Python itself ends with where the output could not be written."""


def run_process() -> NoReturn:
    """Run ``usn`` as all that this process does.

    It ends without taking Python's objects down one by one, which with torch loaded takes longer than many a command.
    """
    code = main()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # nobody reads what was printed
        code = code or UNREAD
    os._exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``usn`` and return its exit code.

    Args:
        argv: the words after ``usn``; by default those of this process.
    """
    with ended_at_once():
        from usncli.cli.application import run_words

        return run_words(list(sys.argv[1:] if argv is None else argv))
