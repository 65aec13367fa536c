"""What the exit code of ``usn`` says, and which error gets which: the only place that knows both."""

from __future__ import annotations

from enum import IntEnum

from usncli.errors import InterruptedRunError, NothingToCertifyError, ParityError, UsnError


class ExitCode(IntEnum):
    """Exit codes of every command.

    ``DONE``: the gate passed, or the command is done. ``GATE_FAILED``: a limit is broken. ``USAGE``: wrong usage,
    configuration or input. ``INTERNAL_ERROR``: a mistake of usn's own. ``INCONCLUSIVE``: unknowns, not failures, keep
    the gate from passing. ``NOTHING``: nothing to certify. ``INTERRUPTED``: interrupted, partial results saved.
    """

    DONE = 0
    GATE_FAILED = 1
    USAGE = 2
    INTERNAL_ERROR = 3
    INCONCLUSIVE = 4
    NOTHING = 5
    INTERRUPTED = 130


CODES: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (InterruptedRunError, ExitCode.INTERRUPTED),
    (KeyboardInterrupt, ExitCode.INTERRUPTED),
    (NothingToCertifyError, ExitCode.NOTHING),
    (ParityError, ExitCode.GATE_FAILED),
    (UsnError, ExitCode.USAGE),
)
"""The exit code of each kind of error, the special before the general."""


def exit_code_of(error: BaseException) -> ExitCode:
    """Return the exit code that an error ends a command with."""
    return next((code for kind, code in CODES if isinstance(error, kind)), ExitCode.INTERNAL_ERROR)
