"""What the tests of the benchmarks and of the study share."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
Load = Callable[[str], ModuleType]


@pytest.fixture(scope="module")
def load() -> Iterator[Load]:
    """Return a function that imports one of the benchmarks' modules, as running a script there does."""
    with importing(EXAMPLES / "benchmarks") as function:
        yield function


@pytest.fixture(scope="module")
def load_study() -> Iterator[Load]:
    """Return the same for the study's modules."""
    with importing(EXAMPLES / "study") as function:
        yield function


@contextmanager
def importing(folder: Path) -> Iterator[Load]:
    """Import from a folder of scripts; folders share names, so nothing of it stays."""
    sys.path.insert(0, str(folder))
    yield importlib.import_module
    sys.path.remove(str(folder))
    for path in folder.glob("*.py"):
        sys.modules.pop(path.stem, None)
