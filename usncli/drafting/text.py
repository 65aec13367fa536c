"""A draft as the text of a usn.yaml."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import yaml

from usncli.drafting.entries import Draft, Entry, Section, State

SCHEMA_NAME = "usn.schema.json"
"""The schema's file, beside usn.yaml."""

WIDTH = 120

HEADER = """Settings of usn, drafted by usn init. FILL IN marks what is missing, CHECK what to look at once. A key that
is commented out does nothing. A flag goes before a variable USN_*, that before this file; usn COMMAND --show-config
prints what holds.
"""


def draft_text(draft: Draft) -> str:
    """Return the file's text, with a line by which editors find the schema."""
    blocks = [[f"# yaml-language-server: $schema={SCHEMA_NAME}", *_comment(HEADER)]]
    blocks += [list(_section_lines(section)) for section in draft.sections]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def yaml_text(value: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=float("inf"), sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _section_lines(section: Section) -> Iterator[str]:
    yield f"# {section.title}"
    for line in section.remarks:
        yield from _comment(line)
    if section.command:
        yield f"{section.command}:"
    indent = "  " if section.command else ""
    for entry in section.entries:
        yield from (indent + line for line in _entry_lines(entry, WIDTH - len(indent)))


def _entry_lines(entry: Entry, width: int) -> Iterator[str]:
    """Yield the key with its reason behind it, or above it where the line would be too long."""
    line = f"{'' if entry.state == State.KNOWN else '# '}{entry.key}: {yaml_text(entry.value)}"
    why = f"FILL IN: {entry.why}" if entry.state == State.MISSING else entry.why
    together = f"{line}  # {why}"
    if len(together) <= width:
        yield together
    else:
        yield from _comment(why, width)
        yield line


def _comment(text: str, width: int = WIDTH) -> Iterator[str]:
    yield from (f"# {line}" for line in textwrap.wrap(text, width - 2, break_long_words=False, break_on_hyphens=False))
