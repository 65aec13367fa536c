"""The largest memory that this process has held so far."""

from __future__ import annotations

import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_memory() -> int | None:
    """Return the peak of this process's resident memory in bytes; None where the system does not tell."""
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
        # getrusage would also count what the process that started this one held.
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
