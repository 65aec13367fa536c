"""Run folders: what a command was asked, on what, with what result; found again by the same command."""

from usncli.runs.folder import Run, RunState, open_run, restate, working
from usncli.runs.hashing import sha256_of_location, visible_files
from usncli.runs.identity import RunDescription, RunIdentity
from usncli.runs.versions import package_versions

__all__ = [
    "Run",
    "RunDescription",
    "RunIdentity",
    "RunState",
    "open_run",
    "package_versions",
    "restate",
    "sha256_of_location",
    "visible_files",
    "working",
]
