"""The site is built from all pages, strictly and offline; a page of a command has every option that the command has."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from build_site import build, render
from command_pages import command_names, command_page
from staging import NAVIGATION, ROOT, page, site_path, stage

from usncli.cli.exit_codes import MEANINGS, ExitCode
from usncli.settings import COMMANDS, named_options

pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # of extensions, to Sphinx

LOADED = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)=[\"']((?:https?:)?//[^\"']+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    assert build(out) == 0, "Sphinx's warnings are on stderr"
    return out


@pytest.mark.slow
def test_every_page_is_there(site: Path) -> None:
    for source in [*(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*/README.md"), ROOT / "README.md"]:
        name = site_path(source.relative_to(ROOT).as_posix())
        assert name is not None
        assert (site / name).with_suffix(".html").is_file()
    for name in command_names():
        assert f"usn {name}" in html.unescape((site / "commands" / f"{name}.html").read_text(encoding="utf-8"))
    assert (site / "usn.schema.json").is_file()


@pytest.mark.slow
def test_nothing_comes_from_another_host(site: Path) -> None:
    for path in site.rglob("*.html"):
        assert not LOADED.findall(path.read_text(encoding="utf-8")), path
    for path in site.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"@import|url\([\"']?(?:https?:)?//", text), path
    assert LOADED.findall('<link rel="x" href="https://host/a.css"><script async src=\'//host/b.js\'>')


@pytest.mark.slow
@pytest.mark.parametrize(
    "broken", ["[a](absent.md)", "[a](other.md#absent)", "![a](absent.png)", "```{toctree}\nabsent\n```"]
)
def test_what_leads_nowhere_fails_the_build(broken: str, tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "usn.schema.json").write_text("{}")
    (pages / "other.md").write_text("# Other\n")
    (pages / "index.md").write_text(f"# Front\n\n{broken}\n\n```{{toctree}}\nother\n```\n")
    assert render(pages, tmp_path / "out") != 0


@pytest.mark.parametrize("command", COMMANDS)
def test_a_commands_page_has_every_option_and_exit_code(command: str) -> None:
    text = command_page(command)
    for named in named_options(COMMANDS[command]).values():
        (row,) = [line for line in text.splitlines() if f"`{named.variable}`" in line]
        assert f"`{named.key}:`" in row
        assert f"`{named.flag}" in row
        assert named.option.help.split("<")[0][:40].replace("*", r"\*") in row
        assert ("required" in row) == named.field.is_required()
    for code in ExitCode:
        assert f"| {int(code)} | {MEANINGS[code][:20]}" in text
    assert f"```sh\nusn {command}" in text


def test_every_command_has_a_page_and_an_example() -> None:
    assert set(command_names()) == set(COMMANDS)


def test_pages_have_one_place_in_the_navigation() -> None:
    placed = [name for names in NAVIGATION.values() for name in names]
    assert len(placed) == len(set(placed))
    there = {f"docs/{name}" for name in placed}
    assert {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")} <= there


def test_links_lead_to_where_the_site_has_the_file(tmp_path: Path) -> None:
    stage(tmp_path)
    front = page("README.md")
    assert "](tutorial.md)" in front
    assert "](examples/fly/README.md)" in front
    assert "](examples/aircraft)" not in front
    assert "- examples/aircraft: " in front
    assert "](examples/study/README.md)" in page("docs/sample-size.md")
    assert "](examples/digits/README.md)" in page("docs/tutorial.md")
    assert (tmp_path / "index.md").read_text(encoding="utf-8").count("{toctree}") == len(NAVIGATION)
