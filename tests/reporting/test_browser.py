"""The page as a browser has it: its content, nothing on the console, nothing cut off on a phone, light and dark."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import INSTALL, find_browser, measure_page, open_page
from report_samples import run_of
from showcase import showcase_run

from usncli.reporting.document import render
from usncli.reporting.page import page_of

BROWSER = find_browser()
pytestmark = pytest.mark.skipif(BROWSER is None, reason=INSTALL)


class Outline(HTMLParser):
    """Collects headings, places, images without a word, and texts."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=True)
        self.headings: list[int] = []
        self.places: list[str] = []
        self.silent: list[str] = []
        self.texts: list[str] = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "img" and not given.get("alt"):
            self.silent.append(str(given))
        if tag == "svg" and not (given.get("aria-label") or given.get("aria-hidden")):
            self.silent.append(str(given))
        self.places += [value for name, value in attrs if name == "id" and value and not value.startswith(("p", "m"))]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = [run_of("score"), run_of("finetune-prune"), run_of("certify"), showcase_run(40), run_of("export")]
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(page_of(runs)), encoding="utf-8")
    return path


def test_a_browser_reads_the_page_and_has_nothing_to_say(page: Path) -> None:
    assert BROWSER is not None
    opened = open_page(BROWSER, page)
    assert opened.console == []
    outline = Outline(opened.document)
    text = " ".join(" ".join(outline.texts).split())
    for words in (
        "candidate and 4 more",
        "gate failed: 0 of 7 checks passed",
        "Newly lost against the baseline",
        "headlight in the lens, ticket 7",
        "Networks side by side",
        "Certified rate against eps: brightness",
        "eps: brightness may change by up to this",
        "95% Clopper-Pearson interval",
        "Unstable ReLUs, by layer",
        "Importance of the channels",
        "Channels cut, by group",
        "Every image: candidate",
        "Wrong without any perturbation (1)",
        "Counterexample: at brightness -0.08 a keypoint is off by",
        "certified up to brightness=",
        "How to reproduce",
        "usn certify 'a model.pt' --data images",
    ):
        assert words in text, words
    assert outline.headings[0] == 1
    assert outline.headings.count(1) == 1
    steps = zip(outline.headings, outline.headings[1:], strict=False)
    assert all(after - before <= 1 for before, after in steps), "no level of headings is left out"
    assert len(outline.places) == len(set(outline.places))
    assert outline.silent == []
    assert text.index("gate failed") < text.index("Networks side by side") < text.index("Crashed (1)")


@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_is_cut_off(page: Path, width: int) -> None:
    assert BROWSER is not None
    found, console = measure_page(BROWSER, page, width)
    assert console == []
    assert found["width"] <= width
    assert found["beyond"] == []
    assert (found["broken"], found["lost"], found["styles"]) == (0, 0, 1)


def test_it_is_light_or_dark_as_the_reader_has_it(page: Path) -> None:
    assert BROWSER is not None
    seen = {
        scheme: measure_page(BROWSER, page, 800, f"--blink-settings=preferredColorScheme={number}")[0]["background"]
        for number, scheme in enumerate(("dark", "light"))
    }
    assert seen == {"dark": "rgb(20, 24, 30)", "light": "rgb(255, 255, 255)"}


def test_what_a_page_logs_would_be_seen(tmp_path: Path) -> None:
    assert BROWSER is not None
    path = tmp_path / "loud.html"
    path.write_text("<!doctype html><script>console.warn('loud'); missing()</script>")
    console = " ".join(open_page(BROWSER, path).console)
    assert "loud" in console
    assert "missing is not defined" in console


def test_a_page_may_load_nothing_even_if_it_were_told_to(page: Path) -> None:
    assert BROWSER is not None
    told = page.with_name("told.html")
    told.write_text(page.read_text(encoding="utf-8").replace("<footer>", "<img src='http://example.invalid/a.png'>"))
    assert "Content Security Policy" in " ".join(open_page(BROWSER, told).console)
