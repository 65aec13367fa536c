"""Hashes of what comes in, so that a result is tied to it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from usncli.files import sha256_of_file


def sha256_of_location(location: Path) -> str | None:
    """Return the SHA-256 of an input.

    Args:
        location: a file; a COCO JSON: itself and the image files that it names, from its folder or the ``images``
            folder there; or a folder: the relative paths and hashes of the files in it, hidden ones left out, and of
            the images that COCO JSON in it names elsewhere.

    Returns:
        None where there is neither file nor folder, such as for ``package.module:callable``.
    """
    if location.is_dir():
        named = (image for file in location.glob("*.json") for image in _images_named_in(file))
        return _sha256_of_files(location, [*visible_files(location), *named])
    if not location.is_file():
        return None
    images = _images_named_in(location) if location.suffix.lower() == ".json" else []
    return _sha256_of_files(location.parent, [location, *images]) if images else sha256_of_file(location)


def visible_files(folder: Path) -> Iterator[Path]:
    """Go through the files of a folder at any depth, linked folders too; hidden files and folders are left out."""
    entered: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        folders[:] = [] if real in entered else [name for name in folders if not name.startswith(".")]
        if real not in entered:
            yield from (Path(parent, name) for name in names if not name.startswith("."))
        entered.add(real)


def _sha256_of_files(root: Path, paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    by_name = {Path(os.path.relpath(path, root)).as_posix(): path for path in paths}
    for name, path in sorted(by_name.items()):
        digest.update(f"{name}\0{sha256_of_file(path)}\n".encode())
    return digest.hexdigest()


def _images_named_in(json_file: Path) -> list[Path]:
    """Return the image files that a COCO JSON names; none where it is something else, which loading will tell."""
    try:
        entries = json.loads(json_file.read_text(encoding="utf-8"))["images"]
        names = [str(entry["file_name"]) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    folders = (json_file.parent, json_file.parent / "images")
    candidates = dict.fromkeys(folder / name for name in names for folder in folders)
    return [path for path in candidates if path.is_file()]
