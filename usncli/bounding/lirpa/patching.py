"""The one place that imports auto_LiRPA, with what its release 0.3 (2022) needs beside a current torch and numpy.

The release imports two names that are gone (``numpy.lib.arraysetops.isin`` since numpy 2.0, torch's
``symbolic_helper._set_opset_version`` since 2.x), and at import it configures logging, adds a warnings filter, raises
the recursion limit, switches TorchScript's profiling off for the whole process and makes a folder in the user's home.
The names are lent for the duration of the import, and every one of these effects is undone after it. Nothing stays
patched: auto_LiRPA's reader of traced graphs, the only part that would use what was lent, is not used (see
`network`).
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import logging
import sys
import tempfile
import types
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from usncli.errors import UsnError

VERSION = "0.3"
"""The release whose rules and internals this package was written against."""
INSTALL_LINE = f"pip install --no-deps auto_LiRPA=={VERSION}"


@functools.cache
def import_auto_lirpa() -> types.ModuleType:
    """Import auto_LiRPA once, without side effects, and return the package.

    Raises:
        UsnError: it is not installed, or another release is.
    """
    try:
        version = importlib.metadata.version("auto_LiRPA")
    except importlib.metadata.PackageNotFoundError as error:
        raise UsnError(f"auto_LiRPA: expected version {VERSION}, found none; run: {INSTALL_LINE}") from error
    if version != VERSION:
        raise UsnError(f"auto_LiRPA: expected version {VERSION}, found {version}; run: {INSTALL_LINE}")
    with _lent_names(), _process_state_kept(), warnings.catch_warnings(record=True):
        return importlib.import_module("auto_LiRPA")


@contextlib.contextmanager
def _lent_names() -> Iterator[None]:
    """Stand in for modules and names that are missing, where they are missing, while the block runs."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(_module("appdirs", user_data_dir=lambda *_: tempfile.gettempdir()))
        if not _exists("numpy.lib.arraysetops"):
            numpy = importlib.import_module("numpy")
            stack.enter_context(_module("numpy.lib.arraysetops", isin=numpy.isin))
        helper = importlib.import_module("torch.onnx.symbolic_helper")
        utils = importlib.import_module("torch.onnx.utils")
        for module, name in ((helper, "_set_opset_version"), (utils, "_optimize_graph")):
            if not hasattr(module, name):
                stack.enter_context(_attribute(module, name, None))
        yield


@contextlib.contextmanager
def _process_state_kept() -> Iterator[None]:
    """Undo what auto_LiRPA's import does to logging, the recursion limit and TorchScript's executor."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    # torch's extension builder, which auto_LiRPA imports and never uses here, reports a missing GPU as a warning.
    builder = logging.getLogger("torch.utils.cpp_extension")
    builder_level = builder.level
    builder.setLevel(logging.ERROR)
    limit = sys.getrecursionlimit()
    compiler: Any = torch._C
    executor, mode = compiler._jit_set_profiling_executor(True), compiler._jit_set_profiling_mode(True)
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        builder.setLevel(builder_level)
        sys.setrecursionlimit(limit)
        compiler._jit_set_profiling_executor(executor)
        compiler._jit_set_profiling_mode(mode)


@contextlib.contextmanager
def _module(name: str, **attributes: Any) -> Iterator[None]:
    previous = sys.modules.get(name)
    stand_in = types.ModuleType(name)
    stand_in.__dict__.update(attributes)
    sys.modules[name] = stand_in
    try:
        yield
    finally:
        if previous is None:
            del sys.modules[name]
        else:
            sys.modules[name] = previous


@contextlib.contextmanager
def _attribute(module: types.ModuleType, name: str, value: Any) -> Iterator[None]:
    setattr(module, name, value)
    try:
        yield
    finally:
        delattr(module, name)


def _exists(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True
