"""auto_LiRPA is imported without a trace in the process, and its absence names the line that installs it."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

from usncli.bounding.lirpa.patching import import_auto_lirpa
from usncli.errors import UsnError

PROBE = """
import logging, sys, warnings
import torch, torch.onnx.symbolic_helper as helper
state = lambda: (list(warnings.filters), list(logging.getLogger().handlers), logging.getLogger().level,
                 sys.getrecursionlimit(), set(vars(helper)), "appdirs" in sys.modules,
                 "numpy.lib.arraysetops" in sys.modules, torch._C._get_graph_executor_optimize())
before = state()
from usncli.bounding.lirpa import engine
assert state() == before, (before, state())
"""


def test_import_leaves_no_trace() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("version", [None, "0.7.1"])
def test_missing_or_other_release(monkeypatch: pytest.MonkeyPatch, version: str | None) -> None:
    def found(name: str) -> str:
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", found)
    with pytest.raises(UsnError, match=r"pip install --no-deps auto_LiRPA==0\.3"):
        import_auto_lirpa.__wrapped__()
