"""Tests that run side by side, one process a core, compute on one thread each."""

from __future__ import annotations

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before torch is imported: processes whose threads wait for each other take twice as long.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
