"""What the exit code of ``usn`` says, and which error gets which: the only place that knows both."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from usncli.errors import CertificateError, InterruptedRunError, NothingToCertifyError, ParityError, UsnError


class ExitCode(IntEnum):
    """Exit codes of every command; `MEANINGS` says what each tells."""

    DONE = 0
    GATE_FAILED = 1
    USAGE = 2
    INTERNAL_ERROR = 3
    INCONCLUSIVE = 4
    NOTHING = 5
    INTERRUPTED = 130


MEANINGS: Mapping[ExitCode, str] = {
    ExitCode.DONE: "The command is done; where there is a gate, it passed.",
    ExitCode.GATE_FAILED: "A limit is broken: too little is certified, or an exported network differs from PyTorch's.",
    ExitCode.USAGE: "Wrong usage, configuration or input; one line says what was expected, what came and what to do.",
    ExitCode.INTERNAL_ERROR: "A mistake of usn's own.",
    ExitCode.INCONCLUSIVE: "Unknowns, not failures, keep the gate from passing: it stays closed.",
    ExitCode.NOTHING: "There is nothing to certify.",
    ExitCode.INTERRUPTED: "Interrupted; partial results are saved, and the same command goes on.",
}
"""What each exit code tells, for the documentation."""

CODES: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (InterruptedRunError, ExitCode.INTERRUPTED),
    (KeyboardInterrupt, ExitCode.INTERRUPTED),
    (NothingToCertifyError, ExitCode.NOTHING),
    (ParityError, ExitCode.GATE_FAILED),
    (CertificateError, ExitCode.GATE_FAILED),
    (UsnError, ExitCode.USAGE),
)
"""The exit code of each kind of error, the special before the general."""


def exit_code_of(error: BaseException) -> ExitCode:
    """Return the exit code that an error ends a command with."""
    return next((code for kind, code in CODES if isinstance(error, kind)), ExitCode.INTERNAL_ERROR)
