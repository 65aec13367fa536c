"""Where the images of a run lie, as CI systems name files: from the root of the checkout."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from usncli.reporting.finished_run import FinishedRun

FOLDERS = ("", "images")
"""Where a data set keeps its images, from the folder that the run names; see `usncli.loading.data.open_data`."""


def locate(run: FinishedRun) -> Callable[[str], Path | None]:
    """Return what finds the file of an image by the image's name in the data set.

    An image that is no file of its own has the file that holds it (``.npz``, say), or else the network's. None where
    the run's manifest leads to no file. Paths are relative to the root of the checkout, absolute outside of it.
    """
    inputs = (run.manifest or {}).get("inputs", {})
    data, model = (_path(inputs.get(what, {})) for what in ("data", "model"))
    folder = None if data is None else data if data.is_dir() else data.parent
    whole = next((path for path in (data, model) if path is not None and path.is_file()), None)
    root = source_root()

    @cache
    def find(image: str) -> Path | None:
        names = dict.fromkeys((image, re.sub(r"#\d+$", "", image)))  # name#0, name#1: several objects of one file
        candidates = [folder / part / name for name in names for part in FOLDERS] if folder else []
        path = next((path for path in candidates if path.is_file()), whole)
        return None if path is None else _from(root, path)

    return find


def source_root() -> Path:
    """Return the nearest folder, from the working directory upward, that holds ``.git``; else the working directory."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here)


def _path(entry: dict[str, Any]) -> Path | None:
    """Return the path of an input; None where it is none, such as package.module:callable."""
    path = Path(str(entry.get("location", ""))).expanduser()
    return path if entry.get("location") and path.exists() else None


def _from(root: Path, path: Path) -> Path:
    absolute = Path(os.path.abspath(path))  # noqa: PTH100, resolve() would follow links out of the checkout
    return absolute.relative_to(root) if absolute.is_relative_to(root) else absolute
