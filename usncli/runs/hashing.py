"""Hashes of what comes in, so that a result is tied to it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from usncli.files import sha256_of_file


def sha256_of_location(location: Path) -> str | None:
    """Return the SHA-256 of a file, or of a folder: of the relative path and hash of every file in it, sorted.

    Args:
        location: a file or a folder. Hidden files of a folder do not count.

    Returns:
        None where there is neither, such as for ``package.module:callable``.
    """
    if location.is_file():
        return sha256_of_file(location)
    if not location.is_dir():
        return None
    digest = hashlib.sha256()
    files = (path for path in location.rglob("*") if path.is_file())
    for relative, path in sorted((path.relative_to(location), path) for path in files):
        if not any(part.startswith(".") for part in relative.parts):
            digest.update(f"{relative.as_posix()}\0{sha256_of_file(path)}\n".encode())
    return digest.hexdigest()
