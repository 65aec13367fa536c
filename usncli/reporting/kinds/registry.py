"""Kinds of records by name; a new command adds one line here."""

from __future__ import annotations

from collections.abc import Mapping

from usncli.errors import InputError, suggestion
from usncli.reporting.kinds import certify, export, finetune_prune, score
from usncli.reporting.kinds.several import several
from usncli.reporting.kinds.view import KindView

KINDS: Mapping[str, KindView] = {
    "score": several(score.VIEW, "scores"),
    "finetune-prune": finetune_prune.VIEW,
    "certify": certify.VIEW,
    "export": export.VIEW,
}
"""In the order in which a page shows them."""


def view_of(kind: str) -> KindView:
    """Return how records of a kind are shown.

    Raises:
        InputError: no such kind.
    """
    if kind not in KINDS:
        raise InputError(f"record: unknown kind {kind!r}{suggestion(kind, KINDS)}")
    return KINDS[kind]
