"""The tables of a record, whatever its kind: what commands print."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from usncli.reporting.kinds import view_of
from usncli.reporting.table import Column, Table, table

__all__ = ["Column", "Table", "table", "tables"]


def tables(record: Mapping[str, Any]) -> tuple[Table, ...]:
    """Return the tables of a stored record; each fits a terminal of 80 columns and can be printed by rich.

    Args:
        record: JSON values with ``kind``, as they lie in a run folder.

    Raises:
        InputError: a kind that is not known.
    """
    return view_of(str(record["kind"])).tables(record)
