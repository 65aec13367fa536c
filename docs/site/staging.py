"""The site's pages in one folder: those of docs/, README.md as the front page, examples, and a page a command.

Pages of commands are made here, each time, so that they cannot be older than the settings that they show. Links to
files of the repository lead to where the site has them.
"""

from __future__ import annotations

import posixpath
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from command_pages import command_names, command_page
from markdown_text import replace_links

ROOT = Path(__file__).parents[2]
COMMANDS = tuple(f"commands/{name}.md" for name in command_names())
NAVIGATION: dict[str, tuple[str, ...]] = {
    "Start": ("installation.md", "tutorial.md", "faq.md"),
    "Guides": (
        *("ci.md", "gate.md", "certificates.md", "report.md", "training.md", "export.md"),
        *("sample-size.md", "extending.md"),
    ),
    "Reference": ("configuration.md", "formats.md", *COMMANDS),
    "How it works": ("method.md", "certification.md", "bounding.md", "architecture.md"),
    "Figures": ("results.md", "benchmarks.md"),
    "Examples": ("examples/digits/README.md", "examples/fly/README.md", "examples/study/README.md"),
    "Changes": ("changelog.md",),
}
"""Pages by heading; those that are not there yet are left out."""

RENAMED = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "usncli/settings/usn.schema.json": "usn.schema.json",
}
"""Files outside docs/ and examples/ that the site has, and what it calls them."""


def stage(folder: Path) -> None:
    """Write all pages, and the files that they link to, into an empty folder."""
    for source in site_files():
        target = folder / str(site_path(source))
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix == ".md":
            target.write_text(page(source), encoding="utf-8")
        else:
            shutil.copy(ROOT / source, target)
    (folder / "commands").mkdir()
    for name in command_names():
        (folder / "commands" / f"{name}.md").write_text(command_page(name), encoding="utf-8")
    with (folder / "index.md").open("a", encoding="utf-8") as index:
        index.writelines(_navigation(folder))


def site_files() -> list[str]:
    """Return the files of the repository that the site has, by their paths there."""
    found = [
        *(path for path in (ROOT / "docs").iterdir() if path.is_file()),
        *(ROOT / "examples").glob("*/README.md"),
        *(ROOT / "examples" / "ci").iterdir(),
    ]
    return [*RENAMED, *sorted(path.relative_to(ROOT).as_posix() for path in found)]


def site_path(source: str) -> str | None:
    """Return where the site has a file, or the front file of a folder, of the repository; None where it has none."""
    if source in RENAMED:
        return RENAMED[source]
    if source.startswith("docs/"):
        return source.removeprefix("docs/")
    if (ROOT / source / "README.md").is_file():
        return f"{source}/README.md"
    return source if (ROOT / source).is_file() and source.startswith("examples/") else None


def page(source: str) -> str:
    """Return a page of the repository with its links as the site needs them.

    What the site does not have is named, without a link.
    """
    here = posixpath.dirname(str(site_path(source)))

    def replace(target: str) -> str | None:
        path, hash_sign, anchor = target.partition("#")
        if not path or "://" in path:
            return target
        found = site_path(posixpath.normpath(posixpath.join(posixpath.dirname(source), path)))
        return None if found is None else posixpath.relpath(found, here or ".") + hash_sign + anchor

    return replace_links((ROOT / source).read_text(encoding="utf-8"), replace)


def _navigation(folder: Path) -> Iterator[str]:
    for caption, pages in NAVIGATION.items():
        there = [name for name in pages if (folder / name).is_file()]
        yield from _tree(caption, there)


def _tree(caption: str, pages: Iterable[str]) -> Iterator[str]:
    yield f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n"
    yield from (f"{name.removesuffix('.md')}\n" for name in pages)
    yield "```\n"
