"""One line about many faults: the first few by name, and how many there are."""

from __future__ import annotations

from collections.abc import Sequence

from usncli.errors import InputError

SHOWN = 3
"""How many offenders a message names."""


def refuse(where: object, offenders: Sequence[str], what_to_do: str) -> None:
    """Raise if there are offenders.

    Args:
        where: the file or folder that was asked for.
        offenders: one text a fault, naming the file and what is wrong with it.
        what_to_do: ends the message.

    Raises:
        InputError: there is at least one.
    """
    if not offenders:
        return
    count = f"{len(offenders)} faults" if len(offenders) > 1 else "1 fault"
    more = f"; and {len(offenders) - SHOWN} more" if len(offenders) > SHOWN else ""
    message = f"{where}: {count}: {'; '.join(offenders[:SHOWN])}{more}; {what_to_do}"
    raise InputError(" ".join(message.split()))
