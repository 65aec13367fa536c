"""Files that `torch.save` wrote: tensors load safely; objects run code, and load only if they are trusted."""

from __future__ import annotations

import pickle
import re
import struct
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from usncli.errors import InputError, UntrustedFileError
from usncli.loading.checkpoints.weights import list_first
from usncli.loading.user_code import put_working_directory_on_path

# What unpicklers raise on bytes that are no pickle: they check nothing before they use it.
_DAMAGED = (
    *(RuntimeError, EOFError, OSError, LookupError, ValueError, TypeError, AttributeError, AssertionError),
    *(struct.error, pickle.UnpicklingError),
)
_MODULE_KEYS = ("ema", "model_ema", "model", "net", "network", "module")


class PickledFile(NamedTuple):
    """What a file of `torch.save` holds.

    Attributes:
        content: tensors by name, possibly wrapped; or a module, if the file is trusted.
        ran_code: whether loading it could run code from the file.
    """

    content: Any
    ran_code: bool


def read_pickle(path: Path, sha256: str, *, trusted: bool) -> PickledFile:
    """Read a file that `torch.save` wrote, without running code from it unless it is trusted.

    Args:
        path: the file.
        sha256: its hash, for the message that says how to trust it.
        trusted: whether to load objects too, which runs code from the file.

    Raises:
        UntrustedFileError: objects in a file that is not trusted.
        InputError: a damaged file.
    """
    try:
        return PickledFile(_load(path, weights_only=True), ran_code=False)
    except pickle.UnpicklingError as error:
        objects = _unsafe_objects(path, str(error))
        if not objects:
            raise _damaged(path, error) from error
        if not trusted:
            raise UntrustedFileError(_refusal(path, sha256, objects)) from error
    except _DAMAGED as error:
        raise _damaged(path, error) from error
    return PickledFile(_module_in(_load_trusted(path)), ran_code=True)


def _load(path: Path, *, weights_only: bool) -> Any:
    """Load from an open file, since by its name torch would take some files for another format."""
    with path.open("rb") as file:
        return torch.load(file, map_location="cpu", weights_only=weights_only)


def _unsafe_objects(path: Path, message: str) -> list[str]:
    """Name what the pickle would import, without importing it."""
    try:
        with path.open("rb") as file:
            names = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    except _DAMAGED:
        names = []
    named = re.search(r"GLOBAL (\S+)", message)
    if not names and named is not None:
        names = [named.group(1)]
    return sorted(names) or (["Python objects"] if "Unsupported" in message else [])


def _refusal(path: Path, sha256: str, objects: list[str]) -> str:
    modules = [name for name in objects if not name.startswith(("numpy", "argparse", "collections", "builtins"))]
    what = "a pickled module" if modules else "more than tensors"
    return (
        f"{path}: holds {what} ({list_first(modules or objects)}), and loading it runs code from the file; if you made "
        "it, save torch.save(model.state_dict(), ...) and give --arch, or type --trust-pickle, or pin "
        f"trusted_sha256: {sha256} in usn.yaml"
    )


def _load_trusted(path: Path) -> Any:
    put_working_directory_on_path()
    try:
        return _load(path, weights_only=False)
    except (ImportError, AttributeError) as error:
        remedy = "run where their code is"
        if "'__main__'" in str(error) or ".__main__'" in str(error):  # the script that saved it was the main program
            remedy = (
                "they were defined in the script that saved it: there, save torch.save(model.state_dict(), ...), and "
                "give --arch SCRIPT:CLASS, with the script's name without .py"
            )
        raise InputError(f"{path}: its classes cannot be imported ({error}); {remedy}") from error
    except _DAMAGED as error:
        raise _damaged(path, error) from error


def _module_in(content: Any) -> Any:
    """Return the module that a trusted file wraps in a table, if it does."""
    if isinstance(content, dict):
        for key in _MODULE_KEYS:
            if isinstance(content.get(key), nn.Module):
                return content[key]
    return content


def _damaged(path: Path, error: BaseException) -> InputError:
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return InputError(f"{path}: truncated or damaged ({line[:160]}); download or save it again")
