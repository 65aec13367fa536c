"""The one family of errors that a user may see.

Each message is one line that says what was expected, what came, and what to do. Only the command layer maps an error
to an exit code; everything else raises.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsnError(Exception):
    """Root of every error that usncli raises on purpose."""


class InputError(UsnError):
    """A checkpoint, image, label or argument is not what was asked for (exit code 2)."""


class UntrustedFileError(InputError):
    """Loading a file would run code from it, and nobody said that it is trusted (exit code 2)."""


class ConfigurationError(UsnError):
    """A setting is unknown, missing or out of range (exit code 2)."""


class UnsupportedOperationError(UsnError):
    """A network holds an operation that cannot be captured, cut, bounded or exported (exit code 2).

    Attributes:
        layers: names of the layers concerned, as the user's network names them.
    """

    def __init__(self, message: str, layers: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.layers = tuple(layers)


class NothingToCertifyError(UsnError):
    """A run was asked to certify no image or no perturbation (exit code 5)."""


class ParityError(UsnError):
    """An exported network does not compute what PyTorch computes, within the tolerance (exit code 1)."""


class CertificateError(UsnError):
    """A certificate was changed, or is of another network, other images or other settings (exit code 1)."""


class InterruptedRunError(UsnError):
    """A run was interrupted; what was finished is saved and the same command resumes it (exit code 130)."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known word, or the list of known words.

    Args:
        word: what the user wrote.
        known: the words that would have been accepted.
    """
    candidates = list(known)
    nearest = difflib.get_close_matches(word, candidates, n=1)
    if nearest:
        return f"; did you mean '{nearest[0]}'?"
    return f"; expected one of {', '.join(sorted(candidates))}" if candidates else ""
