"""What the site and the tests read in Markdown: links, headings and code blocks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from textwrap import dedent
from typing import NamedTuple

_FENCE = re.compile(r"^ *(```+)(.*)$")
_CODE_SPAN = re.compile(r"(`+)(?:(?!\1).)+\1")
_LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\]\()([^()\s]+)(\))")
_HEADING = re.compile(r"^#{1,6} +(.*?) *#*$")


class CodeBlock(NamedTuple):
    """A fenced block.

    Attributes:
        language: the first word behind the fence.
        title: what ``title="..."`` behind it says, or nothing.
        code: the lines, without what they are all indented by.
        line: where the fence stands, counted from 1.
    """

    language: str
    title: str
    code: str
    line: int


def code_blocks(markdown: str) -> Iterator[CodeBlock]:
    """Yield the fenced code blocks of a page."""
    fence, info, start, lines = "", "", 0, list[str]()
    for number, line in enumerate(markdown.splitlines(), start=1):
        match = _FENCE.match(line)
        if not fence and match:
            fence, info, start, lines = match[1], match[2].strip(), number, []
        elif fence and line.strip() == fence:
            title = re.search(r'title="([^"]*)"', info)
            language = info.partition(" ")[0]
            yield CodeBlock(language, title[1] if title else "", dedent("\n".join(lines)) + "\n", start)
            fence = ""
        elif fence:
            lines.append(line)


def links(markdown: str) -> list[str]:
    """Return the targets of a page's links and images, outside of code."""
    found: list[str] = []

    def keep(target: str) -> str:
        found.append(target)
        return target

    replace_links(markdown, keep)
    return found


def replace_links(markdown: str, replace: Callable[[str], str | None]) -> str:
    """Return a page with the target of each link and image replaced, outside of code.

    Args:
        markdown: the page; a link's text may go over several lines.
        replace: returns the new target, or None to leave no more than the link's text.
    """
    kept: list[str] = []

    def hide(match: re.Match[str]) -> str:
        kept.append(match[0])
        return f"\0{len(kept) - 1}\0"

    fences = re.compile(r"^ *(```+).*?^ *\1 *$", re.MULTILINE | re.DOTALL)
    hidden = _CODE_SPAN.sub(hide, fences.sub(hide, markdown))
    replaced = _LINK.sub(lambda match: _replaced(match, replace), hidden)
    while "\0" in replaced:
        replaced = re.sub(r"\0(\d+)\0", lambda match: kept[int(match[1])], replaced)
    return replaced


def _replaced(match: re.Match[str], replace: Callable[[str], str | None]) -> str:
    target = replace(match[2])
    return match[1].lstrip("!")[1:-2] if target is None else match[1] + target + match[3]


def anchors(markdown: str) -> set[str]:
    """Return the anchors of a page's headings, as hosts of Markdown make them."""
    without_code = re.sub(r"^ *(```+).*?^ *\1 *$", "", markdown, flags=re.MULTILINE | re.DOTALL)
    found: set[str] = set()
    for line in without_code.splitlines():
        if match := _HEADING.match(line):
            base = re.sub(r"[^\w\- ]", "", match[1].lower()).replace(" ", "-")
            number = 0
            while (anchor := f"{base}-{number}" if number else base) in found:
                number += 1
            found.add(anchor)
    return found
