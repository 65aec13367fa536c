"""The pages that people read, and the commands that stand in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from command_pages import command_names, command_page
from markdown_text import CodeBlock, code_blocks

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md"), *ROOT.glob("examples/*/README.md")]
PAGES = {
    **{path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sorted(FILES)},
    **{f"commands/{name}.md": command_page(name) for name in command_names()},
}
"""Text by path in the repository; pages of commands by path in the site."""

CI_FILES = sorted((ROOT / "examples" / "ci").iterdir())
_ASSIGNMENT = re.compile(r"[A-Z_][A-Z0-9_]*=")
_INLINE = re.compile(r"(?<!`)`(usn [a-z][^`]*)`(?!`)")


class CommandLine(NamedTuple):
    """A call of ``usn``.

    Attributes:
        words: what follows ``usn``.
        environment: variables that are set for it.
    """

    words: tuple[str, ...]
    environment: dict[str, str]


def blocks(*languages: str) -> Iterator[tuple[str, CodeBlock]]:
    """Yield the code blocks of some languages, with the page and the line of each."""
    for name, text in PAGES.items():
        yield from ((f"{name}:{block.line}", block) for block in code_blocks(text) if block.language in languages)


def usn_lines(shell: str) -> Iterator[CommandLine]:
    """Yield the calls of usn in shell text; the word ``...`` stands for words that are left out."""
    for line in shell.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;<>()")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word and set(word) <= set("&|;<>()"):
                if call := _call(words):
                    yield call
                words = []
            elif word != "...":
                words.append(word)


def console_text(block: CodeBlock) -> str:
    """Return what is typed in a block: all of it, or in a console what stands behind the prompts."""
    if block.language != "console":
        return block.code
    return "\n".join(line[2:] for line in block.code.splitlines() if line.startswith("$ "))


def inline_calls() -> list[tuple[str, tuple[str, ...]]]:
    """Return the code spans that begin with a call of usn, as words behind ``usn``; values may be left out there."""
    return [(name, tuple(shlex.split(span)[1:])) for name, text in PAGES.items() for span in _INLINE.findall(text)]


def texts_of(content: Any) -> Iterator[str]:
    """Yield every text in YAML values."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        for value in content.values():
            yield from texts_of(value)
    elif isinstance(content, list):
        for value in content:
            yield from texts_of(value)


def shell_texts() -> Iterator[tuple[str, str]]:
    """Yield all shell text of the documentation and of the files for CI, with where it stands."""
    for place, block in blocks("sh", "bash", "console"):
        yield place, console_text(block)
    for place, block in blocks("yaml"):
        yield from ((place, item) for item in texts_of(yaml.safe_load(block.code)) if "usn " in item)
    for path in [*CI_FILES, ROOT / ".pre-commit-hooks.yaml"]:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".sh":
            yield path.name, text
        else:
            yield from ((path.name, item) for item in texts_of(yaml.safe_load(text)) if "usn " in item)


def _call(words: list[str]) -> CommandLine | None:
    """Return the call of usn that a command is: directly, or through ``-m usncli`` or ``uv run``."""
    starts = [
        index + 1
        for index, word in enumerate(words)
        if (word == "usn" and (_only_assignments(words[:index]) or words[index - 1] == "run"))
        or (word == "usncli" and words[index - 1] == "-m")
    ]
    if not starts:
        return None
    assignments = [word.split("=", 1) for word in words[: starts[0]] if _ASSIGNMENT.match(word)]
    return CommandLine(tuple(words[starts[0] :]), dict(assignments))


def _only_assignments(words: list[str]) -> bool:
    return all(_ASSIGNMENT.match(word) for word in words)
