"""How the page looks: colours that stand out, light and dark, and what goes on paper."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from usncli.reporting.document import Headline, Page, Section, render
from usncli.reporting.table import table

CSS = (files("usncli.reporting") / "templates" / "page.css").read_text(encoding="utf-8")
LIGHT, DARK = (
    dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
)
TEXT, DRAWN = 4.5, 3.0
"""Least contrast by WCAG 2.1, levels AA: of text (1.4.3), and of what is drawn (1.4.11)."""


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    low, high = sorted(map(luminance, (first, second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_stand_out(scheme: dict[str, str]) -> None:
    for behind in (scheme["paper"], scheme["raised"]):
        for name in ("ink", "muted", "accent"):
            assert contrast(scheme[name], behind) >= TEXT, name
    drawn = [name for name in scheme if name.startswith("series")] + ["good", "bad", "undecided", "neutral"]
    assert len(drawn) == 9
    for name in drawn:
        assert contrast(scheme[name], scheme["paper"]) >= DRAWN, name


def test_both_schemes_have_the_same_colours() -> None:
    assert LIGHT.keys() == DARK.keys()
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


def test_the_style_loads_nothing() -> None:
    assert not re.search(r"@import|url\(|https?:", CSS)


@pytest.mark.parametrize(("rows", "long"), [(40, False), (41, True)])
def test_long_folded_tables_stay_off_the_paper(rows: int, long: bool) -> None:
    folded = table("Channels", ["channel"], [(str(row),) for row in range(rows)])
    html = render(Page("usn", Headline("Done."), sections=(Section("Score", folded=(folded,)),)))
    assert ('<details class="long">' in html) == long
    assert ("<details>" in html) != long
