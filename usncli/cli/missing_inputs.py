"""Inputs that are not there, told before anything heavy is loaded."""

from __future__ import annotations

from pathlib import Path

from usncli.errors import InputError
from usncli.files import nearby
from usncli.runs.folder import RECORD_NAME, read_record
from usncli.settings import CommandSettings
from usncli.settings.parsing import CALLABLE

FILES = ("checkpoint", "annotations", "baseline")
"""Settings that name a file to read."""

LOCATIONS = ("data", "validation")
"""Settings that name a file, a folder, or code."""


def refuse_missing_inputs(settings: CommandSettings) -> None:
    """Look whether the files and folders that a command is to read exist.

    Raises:
        InputError: one does not, or is a folder where a file is expected.
    """
    for name in FILES:
        path = getattr(settings, name, None)
        if path is not None and not (name == "baseline" and getattr(settings, "makes_baseline", False)):
            _refuse_missing_file(name, path)
    for name in LOCATIONS:
        if (location := getattr(settings, name, None)) is not None:
            _refuse_missing_location(name, location)
    for folder in getattr(settings, "runs", ()):
        if not (folder / RECORD_NAME).is_file():
            read_record(folder)  # says what it expected


def _refuse_missing_file(name: str, path: Path) -> None:
    if path.is_file():
        return
    if path.is_dir():
        raise InputError(f"{name} {path}: expected a file, found a folder; name the file in it")
    advice = nearby(path) or "; check the path"
    if name == "baseline":  # most often there is none yet
        advice = f"; write it with --write-baseline {path}"
    raise InputError(f"{name} {path}: expected a file, found none{advice}")


def _refuse_missing_location(name: str, location: str) -> None:
    path = Path(location).expanduser()
    if not path.exists() and not CALLABLE.fullmatch(location):
        raise InputError(f"{name} {location}: no such file or folder{nearby(path) or '; check the path'}")
