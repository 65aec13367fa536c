"""Files that are whole or absent: atomic writes, hashes, and what a missing one may have been meant to be."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAME_KEPT = 100
"""Characters of a file's name that its temporary file bears: file systems allow 255 in all."""


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, flush it to disk, then move it into place.

    A reader, or a process killed half-way, sees the old file or the new one, never a part. A process killed half-way
    may leave a hidden temporary file, ``.<name>.<hexadecimal>``. Permissions are those of any new file (the umask's).

    Args:
        path: the file to make; its folder is made too.
        write: writes the whole content to the path that it is given.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem[:NAME_KEPT]}.{uuid.uuid4().hex}{path.suffix}")
    try:
        temporary.touch(exist_ok=False)
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text_atomically(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    write_atomically(path, lambda temporary: _write_text(temporary, text))


def write_json_atomically(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically. NaN and infinities are refused."""
    write_text_atomically(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def sha256_of_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def nearby(path: Path) -> str:
    """Return a hint at a file of a similar name beside one that is missing; empty where there is none."""
    if not path.parent.is_dir():
        return ""
    nearest = difflib.get_close_matches(path.name, [child.name for child in path.parent.iterdir()], n=1)
    return f"; did you mean {path.parent / nearest[0]}?" if nearest else ""


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
