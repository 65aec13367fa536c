"""Showing a stored result: tables on stdout, other formats to files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from usncli.cli.console import Consoles
from usncli.cli.running import StoredResult


def show_results(stored: StoredResult, formats: Mapping[str, Path], consoles: Consoles) -> None:
    """Print the tables of a result and write it in each format that was asked for."""
