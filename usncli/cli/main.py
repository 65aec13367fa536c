"""The entry point of ``usn``: everything else is loaded within it, so that Ctrl-C is answered from the first moment."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from usncli.cli.signals import ended_at_once


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``usn`` and return its exit code.

    Args:
        argv: the words after ``usn``; by default those of this process.
    """
    with ended_at_once():
        from usncli.cli.application import run_words

        return run_words(list(sys.argv[1:] if argv is None else argv))
