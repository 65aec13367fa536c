"""A run folder: made for one run, found again by the same, never overwritten by another."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from usncli.errors import InputError, InterruptedRunError, UsnError
from usncli.files import write_json_atomically
from usncli.runs.identity import RunDescription, RunIdentity
from usncli.runs.lock import LOCK_NAME, locked
from usncli.runs.manifest import (
    MANIFEST_NAME,
    SCHEMA_VERSION,
    RunStatus,
    now,
    read_manifest,
    session,
    totals,
    write_manifest,
)

RECORD_NAME = "record.json"


class RunState(StrEnum):
    """What a run folder holds of a run."""

    NEW = "new"
    UNFINISHED = "unfinished"
    COMPLETE = "complete"


@dataclass(frozen=True)
class Run:
    """A run folder and what it holds of the run asked for.

    Attributes:
        folder: where everything of the run lies.
        state: what it held when it was opened.
        sessions: earlier processes' work on it.
    """

    folder: Path
    state: RunState
    sessions: tuple[dict[str, Any], ...] = ()

    def record(self) -> dict[str, Any]:
        """Return the stored result of a complete run.

        Raises:
            InputError: the file is damaged.
        """
        return read_record(self.folder)


def read_record(folder: Path) -> dict[str, Any]:
    """Return the result that a complete run stored in its folder.

    Raises:
        InputError: there is none, or it is damaged.
    """
    path = folder / RECORD_NAME
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{folder}: expected the folder of a finished run, found no {RECORD_NAME} in it") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected the record of a run: {error}; remove its folder to run again") from error
    if not isinstance(record, dict) or "kind" not in record:
        raise InputError(f"{path}: expected the record of a run, with its kind; remove its folder to run again")
    return record


def open_run(folder: Path, identity: RunIdentity) -> Run:
    """Look at a run folder, changing nothing.

    Args:
        folder: the folder, which need not exist.
        identity: of the run that is asked for.

    Raises:
        InputError: the folder holds something else: another run, or files that are no run.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"out: expected a folder, got the file {folder}; choose another --out")
    manifest = read_manifest(folder)
    if manifest is None:
        strangers = [path.name for path in folder.iterdir() if path.name != LOCK_NAME] if folder.is_dir() else []
        if strangers:
            raise InputError(
                f"out: expected a new or empty folder or one of the same run, but {folder} holds "
                f"{min(strangers)} and no manifest; choose another --out"
            )
        return Run(folder, RunState.NEW)
    if manifest["fingerprint"] != identity.fingerprint:
        words = identity.differences(manifest.get("identity", {}))
        raise InputError(f"out: {folder} holds another run: {'; '.join(words[:3])}; choose another --out")
    complete = manifest["status"] == RunStatus.COMPLETE and all(
        Path(output).exists() for output in manifest.get("outputs", [])
    )
    state = RunState.COMPLETE if complete else RunState.UNFINISHED
    return Run(folder, state, tuple(manifest.get("sessions", [])))


def restate(run: Run, settings: Mapping[str, Mapping[str, Any]], command_line: Sequence[str]) -> None:
    """Let the manifest of a complete run say how it is looked at now: the settings that are no part of its identity.

    Only these can differ, such as the limit of a gate, since another identity is another run.
    """
    manifest = read_manifest(run.folder)
    if manifest is not None and manifest["settings"] != settings:
        write_manifest(run.folder, manifest | {"settings": dict(settings), "command_line": list(command_line)})


class Finish:
    """How work on a run hands in its result.

    Attributes:
        outputs: files that belong to the result; a run whose outputs are gone is run again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.outputs: tuple[Path, ...] = ()
        self.done = False

    def __call__(self, kind: str, record: Mapping[str, Any], outputs: Sequence[Path] = ()) -> dict[str, Any]:
        """Store the result and return it as it is stored."""
        stored = {"kind": kind, **record}
        write_json_atomically(self._folder / RECORD_NAME, stored)
        self.outputs = tuple(path.resolve() for path in outputs)
        self.done = True
        return stored


@contextmanager
def working(run: Run, description: RunDescription) -> Iterator[Finish]:
    """Keep the manifest true while a process works on a run; yield what stores its result.

    Where the work is refused (a `UsnError`) before it left anything of worth, the folder is as it was before, so that
    mistaken commands leave no trace.

    Raises:
        InputError: the folder cannot be made, or another process uses it.
    """
    made = _make(run.folder)
    with locked(run.folder):
        finish, start = Finish(run.folder), now()

        def note(status: RunStatus, ended: bool = True) -> None:
            sessions = [*run.sessions, session(start, status, now() if ended else None)]
            outputs = [str(path) for path in finish.outputs]
            state = {"status": str(status), **totals(sessions), "sessions": sessions, "outputs": outputs}
            write_manifest(run.folder, {"schema_version": SCHEMA_VERSION, **description.to_json(), **state})

        try:
            note(RunStatus.RUNNING, ended=False)
            yield finish
        except (KeyboardInterrupt, InterruptedRunError):
            note(RunStatus.INTERRUPTED)
            raise
        except BaseException as error:
            if isinstance(error, UsnError) and run.state == RunState.NEW and _is_worthless(run.folder):
                _remove(run.folder, made)
            else:
                note(RunStatus.FAILED)
            raise
        note(RunStatus.COMPLETE if finish.done else RunStatus.FAILED)


def _is_worthless(folder: Path) -> bool:
    return {path.name for path in folder.iterdir()} <= {MANIFEST_NAME, LOCK_NAME}


def _remove(folder: Path, made: list[Path]) -> None:
    for name in (MANIFEST_NAME, LOCK_NAME):
        (folder / name).unlink(missing_ok=True)
    for path in made:
        if not any(path.iterdir()):
            path.rmdir()


def _make(folder: Path) -> list[Path]:
    """Make a folder; return it and its parents that were made, the innermost first."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]  # the innermost first
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LOCK_NAME).touch()
    except OSError as error:
        raise InputError(f"out: cannot write in {folder}: {error.strerror}; choose another --out") from error
    return made
