"""Finding what a user names as ``package.module:callable``."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from usncli.errors import ConfigurationError, suggestion

REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def is_reference(text: str) -> bool:
    """Say whether a text has the form ``package.module:callable``."""
    return REFERENCE.fullmatch(text) is not None


def put_working_directory_on_path() -> str:
    """Let the user's modules in the working directory be imported, before others; return the folder."""
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return folder


def import_callable(reference: str, option: str) -> Callable[..., Any]:
    """Import what a user names; as with ``python -m``, modules of the working directory come first.

    The working directory stays on the import path, since user code may import more when it is called.

    Args:
        reference: ``package.module:callable``; the callable may be an attribute of a class.
        option: the option that the user gave it for; begins each message.

    Raises:
        ConfigurationError: another form, no such module, no such name in it, or a name that cannot be called. What the
            module itself raises while it is imported passes through, but for modules that it does not find.
    """
    if not is_reference(reference):
        raise ConfigurationError(f"{option}: expected package.module:callable, got {reference!r}")
    module_name, _, path = reference.partition(":")
    folder = put_working_directory_on_path()
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{option} {reference}: no module {error.name!r}, neither installed nor in {folder}"
        ) from error
    for name in path.split("."):
        if not hasattr(found, name):
            public = [known for known in dir(found) if not known.startswith("_")]
            raise ConfigurationError(f"{option} {reference}: no {name!r} there{suggestion(name, public)}")
        found = getattr(found, name)
    if not callable(found):
        raise ConfigurationError(f"{option} {reference}: expected a callable, got a {type(found).__name__}")
    return found  # type: ignore[no-any-return]
