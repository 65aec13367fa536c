"""One table, four forms: terminal, Markdown, JSON and texts for a page."""

from __future__ import annotations

import io
import json

import pytest
from report_samples import HOSTILE, RECORDS, certify_record, queries
from rich.console import Console

from usncli.errors import InputError
from usncli.reporting.table import Column, Table, printable, table
from usncli.reporting.tables import tables

SAMPLE = table(
    "Rates",
    [Column("network"), Column("rate", ".1%"), Column("images", ","), Column("passed")],
    [("dense", 0.5, 12345, True), ("usn", None, float("nan"), False)],
    "Of all images.",
)


def printed(*shown: Table, width: int = 80) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width)
    for each in shown:
        console.print(each)
    return stream.getvalue()


def test_cells_are_formatted_by_their_column() -> None:
    assert SAMPLE.texts() == (("dense", "50.0%", "12,345", "yes"), ("usn", "-", "-", "no"))


def test_json_keeps_the_values() -> None:
    assert SAMPLE.to_record() == {
        "title": "Rates",
        "columns": ["network", "rate", "images", "passed"],
        "rows": [["dense", 0.5, 12345, True], ["usn", None, None, False]],
        "note": "Of all images.",
    }


def test_markdown_aligns_and_escapes() -> None:
    assert SAMPLE.to_markdown() == (
        "**Rates**\n\n"
        "| network | rate | images | passed |\n"
        "| --- | ---: | ---: | --- |\n"
        "| dense | 50.0% | 12,345 | yes |\n"
        "| usn | - | - | no |\n\n"
        "Of all images.\n"
    )
    hostile = table("T", [Column("name")], [(HOSTILE,)]).to_markdown()
    assert "<script>" not in hostile
    assert "\\|" in hostile
    assert "\\`a\\`" in hostile
    assert "\x1b" not in hostile


def test_terminal_shows_names_as_they_are_but_steers_nothing() -> None:
    text = printed(table("T", [Column("name")], [("[bold]x[/bold]",), (HOSTILE,)]), width=200)
    assert "[bold]x[/bold]" in text
    assert "\x1b" not in text
    assert r"\x1b[31m" in text


def test_numbers_stand_to_the_right_and_are_never_broken() -> None:
    wide = table("T", [Column("name"), Column("count", ",")], [("x" * 200, 123456789)])
    lines = printed(wide).splitlines()
    assert any(line.rstrip().endswith("123,456,789") for line in lines)
    assert max(map(len, lines)) <= 80


def test_rows_must_match_columns() -> None:
    with pytest.raises(ValueError, match="expected 2 cells a row, got 1"):
        table("T", [Column("a"), Column("b")], [("only",)])


@pytest.mark.parametrize("kind", RECORDS)
def test_every_kind_fits_80_columns(kind: str) -> None:
    shown = tables(RECORDS[kind]())
    assert len(shown) >= 2
    text = printed(*shown)
    assert max(map(len, text.splitlines())) <= 80
    assert all(each.title in text for each in shown)


def test_long_names_still_fit_80_columns() -> None:
    name = "photographs/flight-test-2026-11/" + "very-long-name" * 6 + ".png"
    text = printed(*tables(certify_record(queries(name))))
    assert max(map(len, text.splitlines())) <= 80
    assert "photographs/" in text


LONG_NAMES = {
    '"stem"': '"backbone.body.stages.3.residual_blocks.11.conv_branch_with_attention.depthwise_convolution"',
    '"head.0"': '"backbone.body.stages.3.residual_blocks.11.another_branch_of_the_network.pointwise_convolution"',
    "encoder.blocks.0.convolution": "encoder" + ".residual_blocks.11" * 8,
    '"brightness=0.1"': '"brightness=-0.0123456:0.0234567,contrast=0.812345:1.312345"',
    "model.onnx": "releases/candidates/2026-11-22/a-model-with-a-very-long-name-" + "x" * 60 + ".onnx",
    "pruned.safetensors": "runs/" + "x" * 90 + "/pruned.safetensors",
}


@pytest.mark.parametrize("kind", RECORDS)
def test_long_names_of_layers_ranges_and_files_fit_80_columns_and_are_whole(kind: str) -> None:
    text = json.dumps(RECORDS[kind]())
    for name, long in LONG_NAMES.items():
        text = text.replace(name, long)
    shown = tables(json.loads(text))
    lines = printed(*shown).splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines), "names are folded, not cut"
    headings = {column.title for each in shown for column in each.columns if " " not in column.title}
    words = set(" ".join(lines).split())
    assert headings - words <= {""}, "headings are whole"


def test_unknown_kind_is_named() -> None:
    with pytest.raises(InputError, match="unknown kind 'certfy'; did you mean 'certify'"):
        tables({"kind": "certfy"})


def test_printable_leaves_letters_of_any_script() -> None:
    assert printable("Flügel 翼\t\n") == "Flügel 翼\\t\\n"
