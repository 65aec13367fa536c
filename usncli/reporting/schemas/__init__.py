"""JSON schemas (draft 2020-12) of what usn writes: a record of each kind, and the manifest of a run.

The files lie beside this module, ``certify.json`` and so on. Each has a URN as ``$id`` that ends with the schema
version that records state. Objects with names of our own allow no others, so that a field nobody described fails the
tests.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from usncli.errors import InputError, suggestion

NAMES = ("score", "finetune-prune", "certify", "export", "check", "manifest")


def schema_of(name: str) -> dict[str, Any]:
    """Return the schema of a kind of record, or of the manifest.

    Raises:
        InputError: there is none of that name.
    """
    if name not in NAMES:
        raise InputError(f"schema: unknown kind {name!r}{suggestion(name, NAMES)}")
    content = json.loads((files(__name__) / f"{name}.json").read_text(encoding="utf-8"))
    return dict(content)
