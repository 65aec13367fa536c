"""The entry point of ``usn``: everything else is loaded within it, so that Ctrl-C is answered from the first moment."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from usncli.cli.exit_codes import ExitCode
from usncli.cli.signals import ended_at_once


def run_process() -> NoReturn:
    """Run ``usn`` as all that this process does.

    It ends without taking Python's objects down one by one, which with torch loaded takes longer than many a command.
    """
    code: int = ExitCode.USAGE
    try:
        code = main()
        atexit._run_exitfuncs()
        sys.stdout.flush()
    except OSError as error:  # of what is printed: what happens to other files is answered where it happens
        os.write(2, f"error: the output could not be written ({error.strerror})\n".encode())
        code = code or ExitCode.USAGE
    os._exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``usn`` and return its exit code.

    Args:
        argv: the words after ``usn``; by default those of this process.
    """
    with ended_at_once():
        from usncli.cli.application import run_words

        return run_words(list(sys.argv[1:] if argv is None else argv))
