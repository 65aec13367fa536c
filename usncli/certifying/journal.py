"""An append-only journal of finished queries, so that an interrupted run loses at most the few under way."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from usncli.certifying.partition import Partition
from usncli.certifying.verdicts import QueryRecord
from usncli.errors import InputError

SCHEMA = 3
"""Version of the journal's lines."""


def fingerprint(parts: Mapping[str, Any]) -> str:
    """Return the SHA-256 of JSON values: the same for the same settings, model and data only."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Journal:
    """Queries on disk, one JSON line each, flushed and synced as they finish, in any order; a context manager.

    Opening an existing journal reads it and goes on after its last whole line: a line torn by a kill is dropped.

    Args:
        path: the file; its folder is made too.
        mark: fingerprint of everything that the verdicts depend on.

    Attributes:
        finished: the finished queries by their position among all.

    Raises:
        InputError: the file is a journal of another fingerprint, or no journal.
    """

    def __init__(self, path: Path, mark: str) -> None:
        self.path = path
        self.mark = mark
        self.finished: dict[int, QueryRecord] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = self._read() if path.exists() else 0
        self._file: BinaryIO = path.open("r+b" if path.exists() else "w+b")
        self._file.truncate(kept)
        self._file.seek(kept)
        if not kept:
            self._write({"schema": SCHEMA, "fingerprint": mark})

    def append(self, position: int, record: QueryRecord) -> None:
        """Write one finished query and wait until it is on disk."""
        partition = None if record.partition is None else record.partition.to_record()
        self._write({"position": position, "query": record.to_record(), "partition": partition})
        self.finished[position] = record

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, value: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(value, allow_nan=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self) -> int:
        """Read the finished queries; return how many bytes hold whole lines."""
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        lines = whole.splitlines()
        if not lines:
            # A kill may have left no more than a part of the header, or an empty file.
            if content and not json.dumps({"schema": SCHEMA}).encode().startswith(content[:8]):
                raise InputError(f"{self.path}: expected a journal of usn certify, found something else; name another")
            return 0
        try:
            header, *records = [json.loads(line) for line in lines]
            same = (header["schema"], header["fingerprint"]) == (SCHEMA, self.mark)
            if same:
                self.finished = {int(line["position"]): _record(line) for line in records}
        except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
            raise InputError(
                f"{self.path}: expected a journal of usn certify, found something else; name another"
            ) from error
        if not same:
            raise InputError(
                f"{self.path}: this journal is of a run with other settings, model or data, or of another version of "
                "usn; remove it or name another"
            )
        return len(whole)


def _record(line: Mapping[str, Any]) -> QueryRecord:
    partition = None if line["partition"] is None else Partition.from_record(line["partition"])
    return replace(QueryRecord.from_record(line["query"]), partition=partition)
