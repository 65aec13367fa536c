"""One process a run folder: a lock that the system drops when its process ends, however it ends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from usncli.errors import InputError

LOCK_NAME = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder. On Windows, where the lock used here does not exist, it does nothing.

    Raises:
        InputError: another process holds it.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with (folder / LOCK_NAME).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"{folder}: expected a run folder that no other process uses; wait for it, or choose another --out"
            ) from error
        yield
